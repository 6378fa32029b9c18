// The log: one line an event, to standard error or a file. The only door to spdlog (src/base/log.cpp).
// Thread-safe. Messages carry no passwords, no SQL and no contents of files.
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs::log {

enum class Level { trace, debug, info, warn, error };

/// "trace" ... "error"; EINVAL for another word.
Result<Level> parse_level(std::string_view word);
/// Sends everything from `level` up to `file` (created 0600, appended to), or to standard error when it is empty.
/// Errors: the errno of opening the file.
Status configure(Level level, const std::string& file);
bool enabled(Level level);
void write(Level level, std::string_view message);

template <class... Pieces>
void debug(const Pieces&... pieces) {
  if (enabled(Level::debug)) write(Level::debug, cat(pieces...));
}
template <class... Pieces>
void info(const Pieces&... pieces) {
  if (enabled(Level::info)) write(Level::info, cat(pieces...));
}
template <class... Pieces>
void warn(const Pieces&... pieces) {
  if (enabled(Level::warn)) write(Level::warn, cat(pieces...));
}
template <class... Pieces>
void error(const Pieces&... pieces) {
  if (enabled(Level::error)) write(Level::error, cat(pieces...));
}

}  // namespace sboxfs::log
