#include "life_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {
std::string path_of(const std::string& home, const SessionId& session) {
  return cat(home, "/run/sessions/", session.text());
}
}  // namespace

Result<LifeLock> LifeLock::take(const std::string& home, const SessionId& session) {
  for (const char* part : {"/run", "/run/sessions"}) {
    const std::string dir = home + part;
    if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return fail(errno, cat("can not make ", dir));
  }
  std::string path = path_of(home, session);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail(errno, cat("can not make ", path));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return fail(errno, cat("can not lock ", path));
  return LifeLock(std::move(path), std::move(fd));
}

LifeLock::~LifeLock() {
  if (fd_) ::unlink(path_.c_str());
}

bool LifeLock::is_here(const std::string& home, const SessionId& session) {
  return ::access(path_of(home, session).c_str(), F_OK) == 0;
}

bool LifeLock::is_dead(const std::string& home, const SessionId& session) {
  const UniqueFd fd(::open(path_of(home, session).c_str(), O_RDWR | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace sboxfs
