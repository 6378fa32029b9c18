#include "seen.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t ns_of(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

Seen seen_of(const struct stat& status) {
  Seen seen;
  seen.mode = status.st_mode;
  seen.ino = status.st_ino;
  seen.nlink = status.st_nlink;
  seen.rdev = status.st_rdev;
  seen.size = static_cast<std::uint64_t>(status.st_size);
  seen.blocks = static_cast<std::uint64_t>(status.st_blocks);
  seen.uid = status.st_uid;
  seen.gid = status.st_gid;
  seen.atime = ns_of(status.st_atim);
  seen.mtime = ns_of(status.st_mtim);
  seen.ctime = ns_of(status.st_ctim);
  return seen;
}

/// Disk file systems count a block for extended attributes and one for an index of a file in many pieces.
bool same_blocks(const Seen& local, const Seen& mounted) {
  const std::uint64_t more = local.blocks - mounted.blocks;
  return more == 0 || more == 8 || (more == 16 && mounted.blocks > 32);
}

int sign(std::int64_t value) { return (value > 0) - (value < 0); }

class Words {
 public:
  template <class Value>
  void compare(const char* what, Value expected, Value found) {
    if (expected != found) add(cat(what, ": expected ", expected, ", found ", found));
  }
  void add(const std::string& words) { text_ += (text_.empty() ? "" : "; ") + words; }
  std::string text() const { return text_; }

 private:
  std::string text_;
};

std::string octal(mode_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "0%o", mode);
  return text;
}

}  // namespace

Seen see(int root, const char* path, bool follow) {
  struct stat status {};
  if (::fstatat(root, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0) return seen_of(status);
  Seen seen;
  seen.error = errno;
  return seen;
}

Seen see(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) == 0) return seen_of(status);
  Seen seen;
  seen.error = errno;
  return seen;
}

bool is_explicit(std::int64_t time) {
  constexpr std::int64_t kOld = 1'000'000'000 * kSecond;     // 2001
  constexpr std::int64_t kFuture = 4'000'000'000 * kSecond;  // 2096
  return time < kOld || time > kFuture;
}

std::string differences(const Pair& now, const Rules& rules) {
  const Seen& local = now.local;
  const Seen& mounted = now.mounted;
  Words words;
  words.compare("errno", local.error, mounted.error);
  if (local.error != 0 || mounted.error != 0) return words.text();
  words.compare("mode", octal(local.mode), octal(mounted.mode));
  words.compare("uid", local.uid, mounted.uid);
  words.compare("gid", local.gid, mounted.gid);
  words.compare("nlink", local.nlink, mounted.nlink);
  if (S_ISCHR(local.mode) || S_ISBLK(local.mode)) words.compare("rdev", local.rdev, mounted.rdev);
  if (!S_ISDIR(local.mode)) words.compare("size", local.size, mounted.size);
  if (S_ISREG(local.mode) && rules.compare_blocks && !same_blocks(local, mounted))
    words.compare("blocks", local.blocks, mounted.blocks);
  if (is_explicit(local.mtime) || is_explicit(mounted.mtime)) {
    words.compare("mtime", local.mtime, mounted.mtime);
  } else if (rules.fine_clock) {
    // A disk file system may stamp a new file's ctime twice: later there and equal here is no difference.
    const int expected = sign(local.mtime - local.ctime);
    const int found = sign(mounted.mtime - mounted.ctime);
    if (expected != -1 || found != 0) words.compare("mtime against ctime", expected, found);
  }
  return words.text();
}

std::string differences(const Pair& before, const Pair& after, bool sets_atime, const Rules& rules) {
  Words words;
  if (const std::string now = differences(after, rules); !now.empty()) words.add(now);
  const bool alive =
      before.local.error == 0 && before.mounted.error == 0 && after.local.error == 0 && after.mounted.error == 0;
  if (!alive) return words.text();
  const bool same_object = before.local.ino == after.local.ino && before.mounted.ino == after.mounted.ino;
  words.compare("the same object as before", before.local.ino == after.local.ino,
                before.mounted.ino == after.mounted.ino);
  if (same_object && rules.fine_clock) {
    words.compare("ctime moved", before.local.ctime != after.local.ctime, before.mounted.ctime != after.mounted.ctime);
    words.compare("mtime moved", before.local.mtime != after.local.mtime, before.mounted.mtime != after.mounted.mtime);
  }
  if (sets_atime && (is_explicit(after.local.atime) || is_explicit(after.mounted.atime)))
    words.compare("atime", after.local.atime, after.mounted.atime);
  return words.text();
}

bool has_fine_clock(int directory) {
  const char* name = "clock";
  const int fd = ::openat(directory, name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool fine = true;
  for (int i = 0; i < 50 && fine; ++i) {
    const Seen before = see(fd);
    fine = ::fchmod(fd, 0600) == 0 && see(fd).ctime != before.ctime;
  }
  ::close(fd);
  ::unlinkat(directory, name, 0);
  return fine;
}

}  // namespace sboxfs::differential
