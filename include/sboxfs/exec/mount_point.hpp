// The directory a sandbox is mounted on: checks before, detaching after, and who is in the way.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// Whether /proc/self/mountinfo has a mount exactly at `path`, and whether it is one of sboxfs.
struct MountedAt {
  bool mounted = false;
  bool ours = false;
};
MountedAt mounted_at(const std::string& path, std::string_view mountinfo);
MountedAt mounted_at(const std::string& path);

/// An absolute path with links resolved, also where the last part is a dead mount point (which realpath(3) can not
/// follow). ENOENT, ENOTDIR, EACCES.
Result<std::string> resolve_directory(const std::string& path);

/// Makes sure a sandbox can be mounted at `path`: a dead mount of sboxfs there ("Transport endpoint is not connected")
/// is taken away; EBUSY it is a mount point already, ENOTEMPTY (unless `allow_files`), ENOTDIR, ENOENT.
Status check_mount_point(const std::string& path, bool allow_files);

/// EPERM with what exactly the host forbids: no /dev/fuse, its mode, no fusermount3, allow_other not allowed.
Status check_host_allows(bool allow_other);

/// Detaches the mount: umount2(2) as root, else fusermount3. EBUSY while it is used. `lazy`: at once, whoever uses it.
Status detach(const std::string& mount_point, bool lazy);

/// Makes every request of a hung mount fail and detaches it. What was not committed by then is lost.
Status abort_and_detach(const std::string& mount_point);

/// A process that keeps a mount busy.
struct MountUser {
  pid_t pid = 0;
  std::string command;  ///< /proc/pid/comm
  std::string how;      ///< "working directory", "root", "program", "file PATH", "mapped PATH"
};
/// Scans /proc (what the caller may see of it) without touching the mount itself, so that it works on a hung one too.
std::vector<MountUser> find_mount_users(const std::string& mount_point);

}  // namespace sboxfs
