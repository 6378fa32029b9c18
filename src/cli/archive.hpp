// libarchive's objects with owners.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <string>

#include "sboxfs/base/result.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs::cli {

using ReadArchive = std::unique_ptr<archive, decltype(&archive_read_free)>;
using WriteArchive = std::unique_ptr<archive, decltype(&archive_write_free)>;

inline Error archive_error(archive* from, const std::string& where) {
  const char* why = ::archive_error_string(from);
  const int code = ::archive_errno(from);
  return fail(code > 0 ? code : EIO, cat(where, ": ", why != nullptr ? why : "unknown error"));
}

/// Writes the directory `root` as a pax archive to `fd`; returns how many entries it had to leave out (sockets).
Result<std::uint64_t> write_directory(const std::string& root, int fd);

}  // namespace sboxfs::cli
