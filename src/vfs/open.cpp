#include <fcntl.h>
#include <sys/stat.h>

#include "handles.hpp"

namespace sboxfs {
namespace {

/// Its removal is not on its way to the database yet: opened now, it goes there as an orphan.
bool removal_waits(const State& state, const Inode& inode) {
  state.mu.assert_held();
  return !state.journal.empty() && inode.pins == state.journal.newest() && (inode.changed & kChangedGone) != 0;
}

/// The inode to open; null with op.need set.
Result<Inode*> openable(Operation& op, Ino ino) {
  op.state.mu.assert_held();
  Inode* inode = op.inode(ino);
  if (inode == nullptr) return nullptr;
  // Nobody has it open any more: its rows are on their way out. The kernel looks the name up again, but only once: a
  // file that somebody replaces all the time must open although it is replaced between that look and this call.
  const bool leaving = inode->unlinked && inode->opens == 0;
  if (leaving && op.state.lately_removed.count(ino) == 0 && !removal_waits(op.state, *inode)) return fail(ESTALE);
  return inode;
}

/// A removed file takes room while it is open.
std::unique_ptr<Handle> open_found(Operation& op, Inode& inode, int flags) {
  op.state.mu.assert_held();
  std::unique_ptr<Handle> handle = open_handle(op, inode, flags);
  if (inode.unlinked) op.state.hold(inode, 0);
  return handle;
}

/// O_TRUNC's part, and whether it cleared anything of the mode; false with something missing.
Result<bool> truncate_at_open(Operation& op, Inode& inode, const Kill& kill, bool& cleared) {
  op.state.mu.assert_held();
  if (!inode.is_file()) return true;
  const auto mode = kill.suid_sgid ? without_suid(op, inode, kill.who) : inode.attr.mode;
  if (!mode) return false;
  SBOXFS_TRY(truncate_inode(op, inode, 0));
  if (!op.need.nothing()) return false;
  cleared = *mode != inode.attr.mode;
  inode.attr.mode = *mode;
  if (drop_capability(op, inode)) cleared = true;
  return true;
}

}  // namespace

Result<std::unique_ptr<Handle>> Vfs::open(Ino ino, int flags, const Kill& kill) {
  // Under O_TRUNC the kernel holds locks that a notification waits for; truncating takes the lease, which adopts.
  const bool refreshes = options_.durability == Durability::cto && (flags & O_TRUNC) == 0;
  if (refreshes && refresh) SBOXFS_TRY(refresh());
  Operation op(*this);
  if ((flags & O_TRUNC) == 0) {
    return op.reading([&]() -> Result<std::unique_ptr<Handle>> {
      op.state.mu.assert_held();
      SBOXFS_ASSIGN(Inode * inode, openable(op, ino));
      if (inode == nullptr) return Operation::missing();
      std::unique_ptr<Handle> handle = open_found(op, *inode, flags);
      const bool reads = (flags & O_ACCMODE) != O_WRONLY && (flags & O_NOATIME) == 0;
      handle->atime_moved = reads && touch_atime(op, *inode);
      return handle;
    });
  }
  SBOXFS_TRY(cut_ahead(op, ino, 0));
  return op.changing(
      [&]() -> Result<std::unique_ptr<Handle>> {
        op.state.mu.assert_held();
        SBOXFS_ASSIGN(Inode * inode, openable(op, ino));
        if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
        bool cleared = false;
        SBOXFS_ASSIGN(const bool done, truncate_at_open(op, *inode, kill, cleared));
        if (!done) return Operation::missing();
        std::unique_ptr<Handle> handle = open_found(op, *inode, flags);
        handle->wrote = true;
        handle->cleared = cleared;
        return handle;
      },
      [&](const Result<std::unique_ptr<Handle>>& opened) {
        op.state.mu.assert_held();
        close_handle(op.state, **opened);
      });
}

void Vfs::release(std::unique_ptr<Handle> handle) {
  if (locks != nullptr) locks->close_handle(handle->ino, reinterpret_cast<std::uintptr_t>(handle.get()));
  MutexLock lock(state_.mu);
  close_handle(state_, *handle);
  if (!state_.journal.empty()) state_.work.notify_one();
}

}  // namespace sboxfs
