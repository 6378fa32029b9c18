// Lines over a unix stream socket.
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// A socket bound to `path` and listening, 0600. An old socket there is replaced.
Result<UniqueFd> listen_on(const std::string& path);
Result<UniqueFd> connect_to(const std::string& path);
/// All of `line` and a newline. EPIPE when the other side is gone.
Status send_line(int fd, std::string_view line);
/// The next line without its newline; `buffer` keeps what came after it. ECONNRESET at the end of the stream,
/// EMSGSIZE for a line above 64 KiB.
Result<std::string> receive_line(int fd, std::string& buffer);

}  // namespace sboxfs
