#include "line_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sboxfs/base/text.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {
namespace {

constexpr std::size_t kLongestLine = 64 * 1024;

Result<sockaddr_un> address_of(const std::string& path) {
  if (path.size() > kLongestSocketPath) return fail(ENAMETOOLONG, cat("the socket path is too long: ", path));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Result<UniqueFd> listen_on(const std::string& path) {
  SBOXFS_ASSIGN(const sockaddr_un address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(errno, "can not make a socket");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errno, cat("can not remove ", path));
  // Before bind, on the socket itself: the file never has another mode.
  if (::fchmod(fd.get(), 0600) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 16) != 0) {
    return fail(errno, cat("can not listen on ", path));
  }
  return fd;
}

Result<UniqueFd> connect_to(const std::string& path) {
  SBOXFS_ASSIGN(const sockaddr_un address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(errno, "can not make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(errno, cat("no mount answers on ", path));
  }
  return fd;
}

Status send_line(int fd, std::string_view line) {
  std::string text(line);
  text += '\n';
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t put = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(errno, "the other side of the control socket is gone");
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

Result<std::string> receive_line(int fd, std::string& buffer) {
  for (;;) {
    if (const std::size_t end = buffer.find('\n'); end != std::string::npos) {
      std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return line;
    }
    if (buffer.size() > kLongestLine) return fail(EMSGSIZE, "a control line is too long");
    char piece[4096];
    const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno, "can not read the control socket");
    if (got == 0) return fail(ECONNRESET, "the mount's process ended");
    buffer.append(piece, static_cast<std::size_t>(got));
  }
}

}  // namespace sboxfs
