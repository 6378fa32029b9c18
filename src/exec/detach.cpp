#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/exec/mount_point.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {
namespace {

/// fusermount3 says why it failed only in words; they are read to tell "busy" from the rest.
Status run_fusermount(const std::string& mount_point, bool lazy) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, "can not make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const char* flag = lazy ? "-uz" : "-u";
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno, "can not start fusermount3");
  if (pid == 0) {
    ::setenv("LC_ALL", "C", 1);
    if (::dup2(write_end.get(), 2) < 0) ::_exit(127);
    ::execlp("fusermount3", "fusermount3", flag, "--", mount_point.c_str(), nullptr);
    ::_exit(127);
  }
  write_end.reset();
  std::string words;
  std::array<char, 512> piece{};
  for (;;) {
    const ssize_t got = ::read(read_end.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    words.append(piece.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return fail(ENOENT, "can not run fusermount3: install the package fuse3");
  if (words.find("busy") != std::string::npos) return fail(EBUSY, cat(mount_point, " is busy"));
  while (!words.empty() && words.back() == '\n') words.pop_back();
  return fail(EIO, words.empty() ? cat("fusermount3 could not unmount ", mount_point) : words);
}

std::string connection_of(const std::string& mount_point) {
  const auto text = read_text_file("/proc/self/mountinfo");
  if (!text.ok()) return {};
  std::string device;
  std::size_t start = 0;
  while (start < text->size()) {
    const std::size_t end = std::min(text->find('\n', start), text->size());
    const std::string line = text->substr(start, end - start);
    start = end + 1;
    if (!mounted_at(mount_point, line).ours) continue;
    // "36 35 0:98 / /mnt ...": the minor number names the connection.
    const std::size_t colon = line.find(':');
    device = line.substr(colon + 1, line.find(' ', colon) - colon - 1);
  }
  return device;
}

}  // namespace

Status detach(const std::string& mount_point, bool lazy) {
  if (::geteuid() != 0) return run_fusermount(mount_point, lazy);
  if (::umount2(mount_point.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return {};
  const int code = errno;
  if (code == EBUSY) return fail(code, cat(mount_point, " is busy"));
  if (code == EINVAL) return fail(code, cat(mount_point, " is not a mount point"));
  return fail(code, cat("can not unmount ", mount_point));
}

Status abort_and_detach(const std::string& mount_point) {
  const std::string connection = connection_of(mount_point);
  if (connection.empty()) return fail(EINVAL, cat(mount_point, " is not a mount of sboxfs"));
  const std::string control = cat("/sys/fs/fuse/connections/", connection, "/abort");
  // Without fusectl mounted the lazy detach below still takes the mount out of everybody's way.
  if (const UniqueFd fd(::open(control.c_str(), O_WRONLY | O_CLOEXEC)); fd && ::write(fd.get(), "1", 1) != 1) {
    return fail(errno, cat("can not abort the connection of ", mount_point));
  }
  return detach(mount_point, true);
}

}  // namespace sboxfs
