#include "sboxfs/base/text_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {

Result<std::string> read_text_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(errno, cat("can not read ", path));
  std::string text;
  char buffer[8192];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(errno, cat("can not read ", path));
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

Status write_text_file(const std::string& path, std::string_view text, unsigned mode) {
  const std::string beside = cat(path, ".", static_cast<int>(::getpid()), ".new");
  const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, static_cast<mode_t>(mode)));
  if (!fd) return fail(errno, cat("can not write ", beside));
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t put = ::write(fd.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(errno, cat("can not write ", beside));
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  if (::fsync(fd.get()) != 0 || ::rename(beside.c_str(), path.c_str()) != 0)
    return fail(errno, cat("can not write ", path));
  return {};
}

}  // namespace sboxfs
