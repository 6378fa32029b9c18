// Filling a fresh mount from a directory or a tar.
#pragma once

#include <cstdint>
#include <string>

#include "sboxfs/base/result.hpp"

namespace sboxfs::cli {

struct ImportReport {
  std::uint64_t entries = 0;
  std::uint64_t skipped = 0;  ///< sockets, which no tar can hold
};

/// Unpacks `source` - a directory, a tar (compressed or not), "-" for standard input - into the directory `target`,
/// with modes, times, links, holes, xattrs and ACLs, and with numeric owners when root does it. Changes the process's
/// working directory, and leaves it at "/". Errors: the first entry that can not be stored ends it; the sentence names
/// it.
Result<ImportReport> import_tree(const std::string& source, const std::string& target);

}  // namespace sboxfs::cli
