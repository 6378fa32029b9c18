#include "life_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>

#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {
std::string path_of(const std::string& home, const SessionId& session) {
  return cat(home, "/run/sessions/", session.text());
}

/// What the dead have left is asked for until their leases and rows have expired, which is long before this.
constexpr auto kForgetAfter = std::chrono::hours(24);

void sweep(const std::string& dir) {
  std::error_code ignored;
  const auto before = std::filesystem::file_time_type::clock::now() - kForgetAfter;
  for (const auto& entry : std::filesystem::directory_iterator(dir, ignored)) {
    if (entry.last_write_time(ignored) > before || ignored) continue;
    const UniqueFd fd(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
    if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
  }
}

}  // namespace

Result<LifeLock> LifeLock::take(const std::string& home, const SessionId& session) {
  for (const char* part : {"/run", "/run/sessions"}) {
    const std::string dir = home + part;
    if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return fail(errno, cat("can not make ", dir));
  }
  sweep(home + "/run/sessions");
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
