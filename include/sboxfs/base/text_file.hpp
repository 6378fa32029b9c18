// Small files, whole.
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// The whole file; open's or read's errno.
Result<std::string> read_text_file(const std::string& path);
/// Replaces `path` as a whole (written beside it, fsynced, renamed), with `mode`.
Status write_text_file(const std::string& path, std::string_view text, unsigned mode);

}  // namespace sboxfs
