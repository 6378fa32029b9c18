// $SBOXFS_HOME: where a user's (or root's) sboxfs keeps its private services, logs and records of mounts.
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// The directories below one home. A value; making one touches no disk.
struct Home {
  std::string root;

  /// `$SBOXFS_HOME`, else for root /var/lib/sboxfs, else `$XDG_STATE_HOME/sboxfs` (~/.local/state/sboxfs).
  /// Errors: EINVAL it is not an absolute path, ENOENT there is no home directory to derive it from.
  static Result<Home> from_environment();

  std::string log_dir() const { return root + "/log"; }
  std::string run_dir() const { return root + "/run"; }
  std::string lost_dir() const { return root + "/lost"; }
  std::string postgres_dir() const { return root + "/postgres"; }
  std::string redis_dir() const { return root + "/redis"; }

  /// The directory for sockets named `name` bytes long at most: `preferred` if such a socket's path fits into
  /// sockaddr_un (107 bytes), else a short directory of this home's own below /run (root) or /tmp.
  std::string socket_dir(const std::string& preferred, std::size_t name) const;

  /// Makes the home and log/, run/, lost/ (0700; the home itself 0711 for root, since the private services run as
  /// another user below it). EINVAL when the home lies inside an sboxfs mount; else mkdir's errno.
  Status prepare() const;
};

/// The longest path a unix socket can have (sockaddr_un, without its NUL).
constexpr std::size_t kLongestSocketPath = 107;

/// Makes `path`, and what leads to it, if missing; `path` itself gets `mode`. mkdir's errno.
Status make_directories(const std::string& path, unsigned mode);

/// Makes (or checks) a directory that belongs to `uid` alone: no symlink, that owner, 0700.
/// EACCES when somebody else's directory is in the way.
Status make_private_directory(const std::string& path, unsigned uid, unsigned gid);

/// True when `path`, or the nearest directory above it that exists, lies in a mount of type fuse.sboxfs.
/// `mountinfo` is the text of /proc/self/mountinfo.
bool inside_sboxfs_mount(const std::string& path, std::string_view mountinfo);

/// Waits for the exclusive flock on `path` (made 0600). The lock lives as long as the descriptor.
Result<UniqueFd> lock_file(const std::string& path);
/// The same without waiting: EWOULDBLOCK when somebody holds it.
Result<UniqueFd> try_lock_file(const std::string& path);

}  // namespace sboxfs
