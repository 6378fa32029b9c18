#include "mounting.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/magic.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/mutex.hpp"

namespace sboxfs::fuse {
namespace {

constexpr unsigned kMaxWrite = 1 << 20;

// libfuse reports why a mount failed through a process-wide function only.
struct LastWords {
  Mutex mutex;
  std::string text GUARDED_BY(mutex);
};
LastWords& last_words() {
  static LastWords words;
  return words;
}

void on_log(fuse_log_level level, const char* format, va_list arguments) {
  char line[512];
  vsnprintf(line, sizeof line, format, arguments);
  std::string text(line);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  log::debug("libfuse: ", text);
  if (level > FUSE_LOG_ERR) return;
  MutexLock lock(last_words().mutex);
  last_words().text = text;
}

void want(fuse_conn_info& info, unsigned capability) {
  if ((info.capable & capability) != 0) info.want |= capability;
}

void init(void*, fuse_conn_info* info) {
  info->max_write = kMaxWrite;
  info->max_readahead = kMaxWrite;
  info->max_background = 128;
  info->congestion_threshold = 96;
  info->time_gran = 1;
  for (const unsigned capability :
       {FUSE_CAP_ASYNC_READ, FUSE_CAP_ATOMIC_O_TRUNC, FUSE_CAP_EXPORT_SUPPORT, FUSE_CAP_DONT_MASK, FUSE_CAP_POSIX_ACL,
        FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_READDIRPLUS, FUSE_CAP_CACHE_SYMLINKS, FUSE_CAP_NO_OPENDIR_SUPPORT,
        FUSE_CAP_EXPLICIT_INVAL_DATA})
    want(*info, capability);
  // On its own account the kernel stops asking for attributes after the first page of a directory, and then looks up
  // every name; here attributes are in memory with the names.
  info->want &= ~unsigned{FUSE_CAP_READDIRPLUS_AUTO};
  // libfuse 3.17 really asks for HANDLE_KILLPRIV, which would leave setuid bits to us without telling when. Its second
  // version tells, but libfuse does not pass that on: raw.hpp.
  info->want &= ~unsigned{FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV};
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
  info->want &= ~unsigned{FUSE_CAP_HANDLE_KILLPRIV_V2};
#endif
}

/// What no libfuse, or only a newer one, asks for. The first answer it writes is INIT's, and is mended here.
ssize_t write_hook(int fd, iovec* parts, int count, void* context) {
  auto& ctx = *static_cast<Context*>(context);
  if (!ctx.init_sent.exchange(true) && count == 2 && parts[1].iov_len >= 16) {
    auto* reply = static_cast<fuse_init_out*>(parts[1].iov_base);
    ctx.agreed = raw_init_flags(ctx.offered);
    reply->flags |= ctx.agreed;
  }
  return ::writev(fd, parts, count);
}

ssize_t read_hook(int fd, void* buffer, std::size_t size, void*) { return ::read(fd, buffer, size); }

fuse_lowlevel_ops table(const FuseOptions& options) {
  fuse_lowlevel_ops out{};
  out.init = init;
  add_name_operations(out);
  add_attribute_operations(out);
  add_file_operations(out);
  add_range_operations(out);
  add_directory_operations(out);
  add_xattr_operations(out);
  // Without them the kernel keeps the locks itself.
  if (!options.local_lock) add_lock_operations(out);
  return out;
}

std::string mount_options(const FuseOptions& options) {
  std::string out = cat("subtype=sboxfs,default_permissions,fsname=sboxfs#", options.name);
  if (options.allow_other) out += ",allow_other";
  if (options.read_only) out += ",ro";
  if (options.dev) out += ",dev";
  if (options.suid) out += ",suid";
  if (options.noexec) out += ",noexec";
  return out;
}

/// Mounting over another FUSE mount is possible, and always a mistake.
Status check_free(const std::string& mount_point) {
  struct statx info {};
  struct statfs kind {};
  if (::statx(AT_FDCWD, mount_point.c_str(), AT_NO_AUTOMOUNT, STATX_TYPE, &info) != 0) return {};
  if ((info.stx_attributes_mask & info.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) return {};
  if (::statfs(mount_point.c_str(), &kind) == 0 && kind.f_type == FUSE_SUPER_MAGIC)
    return fail(EBUSY, cat(mount_point, " is a mount point already"));
  return {};
}

}  // namespace

Status check_host(const FuseOptions& options) {
  struct stat info {};
  if (::stat(options.mount_point.c_str(), &info) != 0) {
    if (errno == ENOTCONN)
      return fail(EBUSY, cat(options.mount_point, " is the mount point of a file system that died (umount it first)"));
    return fail(errno, cat("can not mount on ", options.mount_point, ": ", std::strerror(errno)));
  }
  if (!S_ISDIR(info.st_mode)) return fail(ENOTDIR, cat(options.mount_point, " is not a directory"));
  SBOXFS_TRY(check_free(options.mount_point));
  const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device) return {};
  if (errno == ENOENT || errno == ENODEV)
    return fail(EPERM,
                "this host has no FUSE (/dev/fuse is missing: load the module fuse, or give the container the device)");
  return fail(EPERM, cat("this host does not let user ", ::geteuid(),
                         " open /dev/fuse (ask for mode 0666 on it, or mount as root with -o allow_other)"));
}

Result<fuse_session*> make_session(const FuseOptions& options, Context& context) {
  fuse_set_log_func(on_log);
  const std::string opts = mount_options(options);
  std::string arguments[] = {"sboxfs", "-o", opts};
  char* argv[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, argv);
  const fuse_lowlevel_ops operations = table(options);
  fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, &context);
  fuse_opt_free_args(&args);
  if (session == nullptr) return fail(EIO, "libfuse refuses the mount options");
  // By assignment: newer versions have more members.
  static const fuse_custom_io io = [] {
    fuse_custom_io hooks{};
    hooks.writev = write_hook;
    hooks.read = read_hook;
    return hooks;
  }();
  {
    const UniqueFd any(::open("/dev/null", O_RDWR | O_CLOEXEC));
    fuse_session_custom_io(session, &io, any.get());
  }
  if (fuse_session_mount(session, options.mount_point.c_str()) == 0) return session;
  std::string why;
  {
    MutexLock lock(last_words().mutex);
    why = last_words().text;
  }
  fuse_session_destroy(session);
  if (options.allow_other && ::geteuid() != 0) why += " (allow_other needs user_allow_other in /etc/fuse.conf)";
  return fail(EPERM, cat("can not mount on ", options.mount_point, why.empty() ? "" : ": ", why));
}

void detach(const std::string& mount_point) {
  if (::umount2(mount_point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno != EPERM) return;
  std::string arguments[] = {"fusermount3", "-u", "-z", "-q", "--", mount_point};
  char* argv[] = {arguments[0].data(),
                  arguments[1].data(),
                  arguments[2].data(),
                  arguments[3].data(),
                  arguments[4].data(),
                  arguments[5].data(),
                  nullptr};
  pid_t child = 0;
  if (::posix_spawnp(&child, argv[0], nullptr, nullptr, argv, environ) != 0) {
    log::warn("unmount_failed: fusermount3 is not there");
    return;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) log::warn("unmount_failed: fusermount3 could not unmount ", mount_point);
}

}  // namespace sboxfs::fuse
