#include <sys/stat.h>

#include "acl.hpp"
#include "attributes.hpp"
#include "handles.hpp"
#include "sboxfs/base/fault.hpp"

namespace sboxfs {
namespace {

bool changes_owner(const AttrChange& change) { return change.uid.has_value() || change.gid.has_value(); }

bool changes_nothing(const AttrChange& change) {
  return !change.mode && !changes_owner(change) && !change.size && !change.atime && !change.mtime &&
         !change.atime_now && !change.mtime_now && !change.ctime;
}

/// Whether the kernel leaves it to us to clear setuid and setgid now: with a changed owner (unless the mode comes
/// along, where the kernel has cleared them itself), when it says so, or by a change of nothing.
bool kills(const Inode& inode, const AttrChange& change) {
  if (inode.is_dir()) return false;
  const bool owner = changes_owner(change) && !change.mode;
  return change.kill_suid || owner || (changes_nothing(change) && change.we_kill);
}

/// chown(2) of nothing clears the bits, which is the owner's to do, and nobody checked that. From somebody who has the
/// file open for writing it is a write's forerunner. Nothing: not known yet.
std::optional<bool> may_kill(Operation& op, const Inode& inode, const AttrChange& change, const Caller& who) {
  if (!changes_nothing(change) || inode.writers != 0) return true;
  if (who.uid == op.options.uid.value_or(inode.attr.uid)) return true;
  const Credentials* credentials = op.credentials(who);
  if (credentials == nullptr) return std::nullopt;
  return credentials->fowner;
}

void change_owner(Operation& op, Inode& inode, const AttrChange& change) {
  op.state.mu.assert_held();
  if (change.uid && !op.options.uid) inode.attr.uid = *change.uid;
  if (change.gid && !op.options.gid) inode.attr.gid = *change.gid;
}

void change_mode(Operation& op, Inode& inode, mode_t mode) {
  op.state.mu.assert_held();
  inode.attr.mode = (inode.attr.mode & S_IFMT) | (mode & 07777U);
  if (!inode.xattrs) return;
  if (const std::string* acl = find_xattr(inode, kAclAccess))
    store_xattr(op, inode, kAclAccess, chmod_acl(*acl, inode.attr.mode));
}

void change_times(Operation& op, Inode& inode, const AttrChange& change, std::int64_t now) {
  op.state.mu.assert_held();
  if (change.atime_now) inode.attr.atime = now;
  if (change.atime) inode.attr.atime = *change.atime;
  if (change.mtime_now) inode.attr.mtime = now;
  if (change.mtime) inode.attr.mtime = *change.mtime;
}

}  // namespace

Result<Found> Vfs::setattr(const Caller& who, Ino ino, const AttrChange& change, Handle* handle) {
  // Who may is the kernel's to check (default_permissions).
  Operation op(*this);
  if (change.size) SBOXFS_TRY(cut_ahead(op, ino, *change.size));
  Result<Found> result = op.changing([&]() -> Result<Found> {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr) return Operation::missing();
    const bool kill = kills(*inode, change);
    const bool needs_xattrs = change.mode || changes_owner(change) || change.size || kill;
    if (needs_xattrs && !op.xattrs(*inode)) return Operation::missing();
    const auto killed = kill ? without_suid(op, *inode, who) : inode->attr.mode;
    if (!killed) return Operation::missing();
    if (kill && *killed != inode->attr.mode) {
      const std::optional<bool> may = may_kill(op, *inode, change, who);
      if (!may) return Operation::missing();
      if (!*may) return fail(EPERM);
    }
    if (change.size) {
      if (handle != nullptr) SBOXFS_TRY(op.locks_kept(*handle));
      if (inode->is_dir()) return fail(EISDIR);
      if (!inode->is_file()) return fail(EINVAL);
      SBOXFS_TRY(truncate_inode(op, *inode, *change.size));
      if (!op.need.nothing()) return Operation::missing();
    }
    const std::int64_t now = op.now();
    inode->attr.mode = *killed;
    if (kill || change.size || changes_owner(change)) drop_capability(op, *inode);
    if (changes_owner(change)) change_owner(op, *inode, change);
    if (change.mode) change_mode(op, *inode, *change.mode);
    change_times(op, *inode, change, now);
    if (!fault::point("setattr.forget_ctime")) inode->attr.ctime = change.ctime ? *change.ctime : now;
    op.state.journal.touch(*inode);
    return op.found(*inode);
  });
  if (result.ok() && change.size && handle != nullptr) handle->wrote.store(true, std::memory_order_relaxed);
  return result;
}

}  // namespace sboxfs
