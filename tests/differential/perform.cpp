#include "perform.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

constexpr std::size_t kMost = 1 << 20;
char buffer[kMost];  // a worker has one thread

void keep(Outcome& outcome, const void* data, std::size_t size, bool text) {
  outcome.bytes = size;
  outcome.hash = hash_of(data, size);
  const std::string start(static_cast<const char*>(data),
                          std::min<std::size_t>(size, text ? sizeof outcome.start - 1 : 0));
  std::replace_copy_if(
      start.begin(), start.end(), outcome.start, [](char c) { return c < ' '; }, ' ');
}

bool is_file(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

long do_open(Side& side, const Step& step, const std::string& path) {
  int& slot = side.files[static_cast<std::size_t>(step.slot)];
  if (slot >= 0) ::close(slot);
  slot = ::openat(side.root, path.c_str(), step.flags | O_NONBLOCK | O_CLOEXEC, step.mode);
  return slot < 0 ? -1 : 0;
}

long do_close(int& fd) {
  const int closed = ::close(fd);
  fd = -1;
  return closed;
}

long do_times(const Side& side, const Step& step, const std::string& path, int fd) {
  const timespec times[2] = {{step.seconds[0], step.nanoseconds[0]}, {step.seconds[1], step.nanoseconds[1]}};
  if (fd >= 0) return ::futimens(fd, times);
  return ::utimensat(side.root, path.c_str(), times, step.follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

long do_xattr(const Step& step, const std::string& path, int fd, Outcome& outcome) {
  const char* file = path.c_str();
  if (step.op == Op::setxattr) {
    if (fd >= 0) return ::fsetxattr(fd, step.name, step.value, step.value_size, step.flags);
    return step.follow ? ::setxattr(file, step.name, step.value, step.value_size, step.flags)
                       : ::lsetxattr(file, step.name, step.value, step.value_size, step.flags);
  }
  if (step.op == Op::removexattr) {
    if (fd >= 0) return ::fremovexattr(fd, step.name);
    return step.follow ? ::removexattr(file, step.name) : ::lremovexattr(file, step.name);
  }
  ssize_t size = 0;
  if (step.op == Op::getxattr) {
    const auto room = static_cast<std::size_t>(step.length);
    size = fd >= 0       ? ::fgetxattr(fd, step.name, buffer, room)
           : step.follow ? ::getxattr(file, step.name, buffer, room)
                         : ::lgetxattr(file, step.name, buffer, room);
    if (size > 0 && room > 0) keep(outcome, buffer, static_cast<std::size_t>(size), false);
    return size;
  }
  size = fd >= 0       ? ::flistxattr(fd, buffer, kMost)
         : step.follow ? ::listxattr(file, buffer, kMost)
                       : ::llistxattr(file, buffer, kMost);
  if (size <= 0) return size;
  std::vector<std::string> names;
  for (const char* at = buffer; at < buffer + size; at += names.back().size() + 1) names.emplace_back(at);
  std::sort(names.begin(), names.end());
  std::string all;
  for (const std::string& name : names) all += name + " ";
  keep(outcome, all.data(), all.size(), true);
  return size;
}

long do_readdir(int fd, Outcome& outcome) {
  if (::lseek(fd, 0, SEEK_SET) < 0) return -1;
  std::vector<std::string> entries;
  for (;;) {
    const long got = ::syscall(SYS_getdents64, fd, buffer, kMost);
    if (got < 0) return -1;
    if (got == 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      entries.push_back(cat(entry->d_name, ":", static_cast<int>(entry->d_type)));
      at += entry->d_reclen;
    }
  }
  std::sort(entries.begin(), entries.end());
  std::string all;
  for (const std::string& entry : entries) all += entry + " ";
  keep(outcome, all.data(), all.size(), true);
  return 0;
}

long do_data(Side& side, const Step& step, int fd, Outcome& outcome) {
  // What is read from and written to devices, pipes and directories is not the file system's.
  if (!is_file(fd)) {
    errno = ENOTSUP;
    return -1;
  }
  const auto size = std::min(static_cast<std::size_t>(step.length), kMost);
  switch (step.op) {
    case Op::read: {
      const ssize_t got = step.positioned ? ::pread(fd, buffer, size, step.offset) : ::read(fd, buffer, size);
      if (got > 0) keep(outcome, buffer, static_cast<std::size_t>(got), false);
      return got;
    }
    case Op::write:
      fill(buffer, size, step.seed);
      return step.positioned ? ::pwrite(fd, buffer, size, step.offset) : ::write(fd, buffer, size);
    case Op::copy_range: {
      const int to = side.files[static_cast<std::size_t>(step.other_slot)];
      if (to >= 0 && !is_file(to)) {
        errno = ENOTSUP;
        return -1;
      }
      off64_t from_offset = step.offset;
      off64_t to_offset = step.to_offset;
      return ::copy_file_range(fd, &from_offset, to, &to_offset, size, 0);
    }
    case Op::fallocate: return ::fallocate(fd, step.flags, step.offset, step.length);
    default: {
      const off_t at = ::lseek(fd, step.offset, step.flags);
      // Where data and holes end, and whether there is data at all, may differ; where the next step reads or writes
      // must not.
      const int code = errno;
      const bool free = step.flags == SEEK_DATA || step.flags == SEEK_HOLE;
      if (free && ::lseek(fd, step.offset, SEEK_SET) < 0) return -1;
      errno = code;
      return at;
    }
  }
}

long do_stat(const Side& side, const Step& step, const std::string& path) {
  struct stat status {};
  return ::fstatat(side.root, path.c_str(), &status, step.follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

long do_readlink(const Side& side, const std::string& path, Outcome& outcome) {
  const ssize_t got = ::readlinkat(side.root, path.c_str(), buffer, kMost);
  if (got > 0) keep(outcome, buffer, static_cast<std::size_t>(got), true);
  return got;
}

long do_truncate(const Step& step, const std::string& path, int fd) {
  return fd >= 0 ? ::ftruncate(fd, step.length) : ::truncate(path.c_str(), step.length);
}

long do_chmod(const Side& side, const Step& step, const std::string& path, int fd) {
  return fd >= 0 ? ::fchmod(fd, step.mode) : ::fchmodat(side.root, path.c_str(), step.mode, 0);
}

long do_chown(const Side& side, const Step& step, const std::string& path, int fd) {
  if (fd >= 0) return ::fchown(fd, step.uid, step.gid);
  return ::fchownat(side.root, path.c_str(), step.uid, step.gid, step.follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

long call(Side& side, const Step& step, Outcome& outcome) {
  std::string path = step.a;
  if (step.padded)
    for (int i = 0; i < 2100; ++i) path.insert(0, "./");
  const char* a = path.c_str();
  int none = -1;
  int& fd = step.slot == kNoSlot ? none : side.files[static_cast<std::size_t>(step.slot)];
  if (step.slot != kNoSlot && fd < 0 && step.op != Op::open) {
    errno = EBADF;
    return -1;
  }
  switch (step.op) {
    case Op::open: return do_open(side, step, path);
    case Op::close: return do_close(fd);
    case Op::mkdir: return ::mkdirat(side.root, a, step.mode);
    case Op::mknod: return ::mknodat(side.root, a, step.mode, makedev(1, 3));
    case Op::symlink: return ::symlinkat(step.b, side.root, a);
    case Op::link: return ::linkat(side.root, a, side.root, step.b, step.follow ? AT_SYMLINK_FOLLOW : 0);
    case Op::unlink: return ::unlinkat(side.root, a, 0);
    case Op::rmdir: return ::unlinkat(side.root, a, AT_REMOVEDIR);
    case Op::rename: return ::syscall(SYS_renameat2, side.root, a, side.root, step.b, step.flags);
    case Op::chmod: return do_chmod(side, step, path, fd);
    case Op::chown: return do_chown(side, step, path, fd);
    case Op::truncate: return do_truncate(step, path, fd);
    case Op::utimens: return do_times(side, step, path, fd);
    case Op::setxattr:
    case Op::getxattr:
    case Op::listxattr:
    case Op::removexattr: return do_xattr(step, path, fd, outcome);
    case Op::stat: return do_stat(side, step, path);
    case Op::access: return ::faccessat(side.root, a, step.flags, 0);
    case Op::readlink: return do_readlink(side, path, outcome);
    case Op::readdir: return do_readdir(fd, outcome);
    case Op::fsync: return ::fsync(fd);
    case Op::umask: return static_cast<long>(::umask(step.mode));
    default: return do_data(side, step, fd, outcome);
  }
}

}  // namespace

Outcome perform(Side& side, const Step& step) {
  Outcome outcome;
  errno = 0;
  // Not all calls have a form with a directory's descriptor.
  if (::fchdir(side.root) != 0) {
    outcome.result = -1;
    outcome.error = errno;
    return outcome;
  }
  outcome.result = call(side, step, outcome);
  if (outcome.result < 0) outcome.error = errno;
  return outcome;
}

void close_files(Side& side) {
  for (int& file : side.files) {
    if (file >= 0) ::close(file);
    file = -1;
  }
}

}  // namespace sboxfs::differential
