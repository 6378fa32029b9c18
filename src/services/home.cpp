#include "sboxfs/services/home.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "sboxfs/base/hash.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/base/users.hpp"

namespace sboxfs {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

/// Octal escapes of mountinfo: \040 for a space and so on.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string_view word(std::string_view line, int index) {
  while (index-- > 0) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

bool is_below(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path.compare(0, directory.size(), directory) == 0 &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

Result<Home> Home::from_environment() {
  std::string root = environment("SBOXFS_HOME");
  if (root.empty() && ::geteuid() == 0) root = "/var/lib/sboxfs";
  if (root.empty()) {
    std::string state = environment("XDG_STATE_HOME");
    if (state.empty()) {
      std::string user_home = environment("HOME");
      const std::optional<User> me = user_home.empty() ? find_user(::geteuid()) : std::nullopt;
      if (me) user_home = me->home;
      if (user_home.empty()) return fail(ENOENT, "no home directory: set SBOXFS_HOME");
      state = user_home + "/.local/state";
    }
    root = state + "/sboxfs";
  }
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  if (root.front() != '/') return fail(EINVAL, cat("SBOXFS_HOME must be an absolute path, not '", root, "'"));
  return Home{root};
}

std::string Home::socket_dir(const std::string& preferred, std::size_t name) const {
  if (preferred.size() + 1 + name <= kLongestSocketPath) return preferred;
  const std::string tag = to_hex(sha256(preferred).view().substr(0, 6));
  if (::geteuid() == 0) return "/run/sboxfs-" + tag;
  return cat("/tmp/sboxfs-", static_cast<unsigned>(::geteuid()), "-", tag);
}

Status Home::prepare() const {
  SBOXFS_ASSIGN(const std::string mounts, read_text_file("/proc/self/mountinfo"));
  if (inside_sboxfs_mount(root, mounts))
    return fail(EINVAL, cat(root, " lies inside an sboxfs mount: set SBOXFS_HOME"));
  SBOXFS_TRY(make_directories(root, ::geteuid() == 0 ? 0711 : 0700));
  for (const std::string& directory : {log_dir(), run_dir(), lost_dir()}) SBOXFS_TRY(make_directories(directory, 0700));
  return {};
}

Status make_directories(const std::string& path, unsigned mode) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST) {
    return fail(errno, cat("can not make the directory ", path));
  }
  struct stat attr {};
  if (::stat(path.c_str(), &attr) != 0) return fail(errno, cat("can not reach the directory ", path));
  if (!S_ISDIR(attr.st_mode)) return fail(ENOTDIR, cat(path, " is not a directory"));
  if (attr.st_uid == ::geteuid() && (attr.st_mode & 07777) != mode &&
      ::chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) {
    return fail(errno, cat("can not set the mode of ", path));
  }
  return {};
}

Status make_private_directory(const std::string& path, unsigned uid, unsigned gid) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail(errno, cat("can not make the directory ", path));
  // Opened once, so that what is checked is what is changed, whatever others do in /tmp.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat attr {};
  if (!fd || ::fstat(fd.get(), &attr) != 0) return fail(errno, cat(path, " is not a directory of ours"));
  if (attr.st_uid != uid && attr.st_uid != ::geteuid()) return fail(EACCES, cat(path, " belongs to another user"));
  if ((attr.st_uid != uid || attr.st_gid != gid) && ::fchown(fd.get(), uid, gid) != 0) {
    return fail(errno, cat("can not change the owner of ", path));
  }
  if ((attr.st_mode & 07777) != 0700 && ::fchmod(fd.get(), 0700) != 0)
    return fail(errno, cat("can not set the mode of ", path));
  return {};
}

bool inside_sboxfs_mount(const std::string& path, std::string_view mountinfo) {
  // The part that exists, links resolved; stat on a dead mount point fails, so no file is touched below it.
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::weakly_canonical(path, error);
  const std::string target = error ? path : resolved.string();
  std::size_t longest = 0;
  bool ours = false;
  while (!mountinfo.empty()) {
    const std::size_t end = mountinfo.find('\n');
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(end == std::string_view::npos ? mountinfo.size() : end + 1);
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const std::string where = unescape(word(line, 4));
    if (!is_below(target, where) || where.size() < longest) continue;
    longest = where.size();
    ours = word(line.substr(dash + 3), 0) == "fuse.sboxfs";
  }
  return ours;
}

namespace {

Result<UniqueFd> lock_with(const std::string& path, int operation) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail(errno, cat("can not open the lock file ", path));
  while (::flock(fd.get(), operation) != 0) {
    if (errno != EINTR) return fail(errno, cat("can not lock ", path));
  }
  return fd;
}

}  // namespace

Result<UniqueFd> lock_file(const std::string& path) { return lock_with(path, LOCK_EX); }
Result<UniqueFd> try_lock_file(const std::string& path) { return lock_with(path, LOCK_EX | LOCK_NB); }

}  // namespace sboxfs
