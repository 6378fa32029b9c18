#include "sboxfs/exec/mount_point.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {
namespace {

/// The `index`th word of a line, counted from 0.
std::string_view word(std::string_view line, int index) {
  for (; index > 0; --index) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

/// A path as mountinfo writes it.
std::string escaped(const std::string& path) {
  std::string out;
  for (const char c : path) {
    switch (c) {
      case ' ': out += "\\040"; break;
      case '\t': out += "\\011"; break;
      case '\n': out += "\\012"; break;
      case '\\': out += "\\134"; break;
      default: out += c;
    }
  }
  return out;
}

bool is_empty(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
  if (!directory) return true;  // the mount itself will say what is wrong
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

bool fuse_conf_allows_other() {
  const auto text = read_text_file("/etc/fuse.conf");
  if (!text.ok()) return false;
  std::size_t start = 0;
  while (start < text->size()) {
    const std::size_t end = std::min(text->find('\n', start), text->size());
    std::string_view line(text->data() + start, end - start);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) line.remove_suffix(1);
    if (line == "user_allow_other") return true;
    start = end + 1;
  }
  return false;
}

bool has_fusermount() {
  for (const char* path : {"/usr/bin/fusermount3", "/bin/fusermount3", "/usr/local/bin/fusermount3"}) {
    if (::access(path, X_OK) == 0) return true;
  }
  return false;
}

}  // namespace

MountedAt mounted_at(const std::string& path, std::string_view mountinfo) {
  MountedAt found;
  const std::string wanted = escaped(path);
  while (!mountinfo.empty()) {
    const std::size_t end = mountinfo.find('\n');
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(end == std::string_view::npos ? mountinfo.size() : end + 1);
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos || word(line, 4) != wanted) continue;
    // The last line is the topmost mount.
    found.mounted = true;
    found.ours = word(line.substr(dash + 3), 0) == "fuse.sboxfs";
  }
  return found;
}

MountedAt mounted_at(const std::string& path) {
  const auto text = read_text_file("/proc/self/mountinfo");
  return text.ok() ? mounted_at(path, *text) : MountedAt{};
}

Result<std::string> resolve_directory(const std::string& path) {
  char real[PATH_MAX];
  if (::realpath(path.c_str(), real) != nullptr) return std::string(real);
  const int code = errno;
  if (code != ENOTCONN && code != EACCES && code != EIO) return fail(code, cat(path, ": no such directory"));
  // A dead mount point: only what leads to it can be resolved.
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const std::size_t slash = trimmed.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : trimmed.substr(0, slash);
  if (::realpath(parent.c_str(), real) == nullptr) return fail(errno, cat(path, ": no such directory"));
  std::string resolved = real;
  if (resolved != "/") resolved += '/';
  resolved += trimmed.substr(slash == std::string::npos ? 0 : slash + 1);
  if (!mounted_at(resolved).mounted) return fail(code, cat(path, ": can not be entered"));
  return resolved;
}

Status check_mount_point(const std::string& path, bool allow_files) {
  if (mounted_at(path).mounted) {
    // stat(2) may still be answered from the kernel's memory; statfs(2) always asks the mount's process.
    struct statfs unused {};
    const bool dead = mounted_at(path).ours && ::statfs(path.c_str(), &unused) != 0 && errno == ENOTCONN;
    if (!dead) return fail(EBUSY, cat(path, " is a mount point already"));
    SBOXFS_TRY(detach(path, true));
    return check_mount_point(path, allow_files);
  }
  struct stat attr {};
  if (::stat(path.c_str(), &attr) != 0) {
    const int code = errno;
    return fail(code, cat(path, code == ENOENT ? ": no such directory" : ": can not be used as a mount point"));
  }
  if (!S_ISDIR(attr.st_mode)) return fail(ENOTDIR, cat(path, " is not a directory"));
  if (!allow_files && !is_empty(path)) return fail(ENOTEMPTY, cat(path, " is not empty (-o nonempty mounts over it)"));
  return {};
}

Status check_host_allows(bool allow_other) {
  struct stat attr {};
  if (::stat("/dev/fuse", &attr) != 0) {
    return fail(EPERM, "this host has no /dev/fuse: load the module fuse, or give the container the device");
  }
  const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device && (errno == EACCES || errno == EPERM)) {
    const unsigned mode = attr.st_mode & 07777;
    const std::string octal{static_cast<char>('0' + (mode >> 6 & 7)), static_cast<char>('0' + (mode >> 3 & 7)),
                            static_cast<char>('0' + (mode & 7))};
    if (::geteuid() == 0)
      return fail(EPERM, "this host forbids root to open /dev/fuse (a container without the device?)");
    return fail(EPERM, cat("this host forbids normal users to mount: /dev/fuse has mode 0", octal,
                           " (root: chmod 666 /dev/fuse)"));
  }
  if (!device) return fail(EPERM, "this host has /dev/fuse, but no FUSE behind it: load the module fuse");
  if (::geteuid() == 0) return {};
  if (!has_fusermount()) return fail(EPERM, "a normal user needs fusermount3 to mount: install the package fuse3");
  if (allow_other && !fuse_conf_allows_other()) {
    return fail(
        EPERM,
        "this host forbids -o allow_other to normal users: root must add the line user_allow_other to /etc/fuse.conf");
  }
  return {};
}

}  // namespace sboxfs
