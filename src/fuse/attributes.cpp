#include "request.hpp"

namespace sboxfs::fuse {
namespace {

Handle* handle_or_null(const fuse_file_info* info) {
  return info == nullptr || info->fh == 0 ? nullptr : reinterpret_cast<Handle*>(info->fh);
}

/// The nearest time there is: years 1678 to 2262.
std::int64_t ns_of(const timespec& time) {
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max() / kSecondNs - 1;
  if (time.tv_sec > kLast) return kLast * kSecondNs;
  if (time.tv_sec < -kLast) return -kLast * kSecondNs;
  return time.tv_sec * kSecondNs + time.tv_nsec;
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  serve(request, Kind::getattr, [&](Vfs& vfs) { reply_attr(request, vfs.getattr(ino, handle_or_null(info))); });
}

AttrChange change_of(const struct stat& attr, int to_set) {
  AttrChange change;
  if ((to_set & FUSE_SET_ATTR_MODE) != 0) change.mode = attr.st_mode;
  if ((to_set & FUSE_SET_ATTR_UID) != 0) change.uid = attr.st_uid;
  if ((to_set & FUSE_SET_ATTR_GID) != 0) change.gid = attr.st_gid;
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<std::uint64_t>(attr.st_size);
  change.atime_now = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0;
  change.mtime_now = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0;
  if ((to_set & FUSE_SET_ATTR_ATIME) != 0 && !change.atime_now) change.atime = ns_of(attr.st_atim);
  if ((to_set & FUSE_SET_ATTR_MTIME) != 0 && !change.mtime_now) change.mtime = ns_of(attr.st_mtim);
  if ((to_set & FUSE_SET_ATTR_CTIME) != 0) change.ctime = ns_of(attr.st_ctim);
  change.kill_suid = worker().raw.kill_suidgid;
  return change;
}

void setattr(fuse_req_t request, fuse_ino_t ino, struct stat* attr, int to_set, fuse_file_info* info) {
  serve(request, Kind::setattr, [&](Vfs& vfs) {
    AttrChange change = change_of(*attr, to_set);
    change.we_kill = we_kill(context(request));
    reply_attr(request, vfs.setattr(caller(request), ino, change, handle_or_null(info)));
  });
}

void statfs(fuse_req_t request, fuse_ino_t) {
  serve(request, Kind::statfs, [&](Vfs& vfs) {
    const Result<FsStats> stats = vfs.statfs();
    if (!stats.ok()) {
      fuse_reply_err(request, stats.code());
      return;
    }
    struct statvfs out {};
    out.f_bsize = out.f_frsize = kBlockSize;
    out.f_blocks = stats->blocks;
    out.f_bfree = out.f_bavail = stats->free_blocks;
    out.f_files = stats->inodes;
    out.f_ffree = out.f_favail = stats->free_inodes;
    out.f_namemax = kMaxNameBytes;
    fuse_reply_statfs(request, &out);
  });
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& table) {
  table.getattr = getattr;
  table.setattr = setattr;
  table.statfs = statfs;
}

}  // namespace sboxfs::fuse
