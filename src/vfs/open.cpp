#include <fcntl.h>
#include <sys/stat.h>

#include "handles.hpp"

namespace sboxfs {
namespace {

/// The inode to open; null with op.need set.
Result<Inode*> openable(Operation& op, Ino ino) {
  op.state.mu.assert_held();
  Inode* inode = op.inode(ino);
  if (inode == nullptr) return nullptr;
  // Nobody has it open any more: its rows are on their way out. The kernel looks the name up again.
  if (inode->unlinked && inode->opens == 0) return fail(ESTALE);
  return inode;
}

}  // namespace

Result<std::unique_ptr<Handle>> Vfs::open(Ino ino, int flags, bool kill) {
  // Under O_TRUNC the kernel holds locks that a notification waits for; truncating takes the lease, which adopts.
  const bool refreshes = options_.durability == Durability::cto && (flags & O_TRUNC) == 0;
  if (refreshes && refresh) SBOXFS_TRY(refresh());
  Operation op(*this);
  if ((flags & O_TRUNC) == 0) {
    return op.reading([&]() -> Result<std::unique_ptr<Handle>> {
      op.state.mu.assert_held();
      SBOXFS_ASSIGN(Inode * inode, openable(op, ino));
      if (inode == nullptr) return Operation::missing();
      return open_handle(op, *inode, flags);
    });
  }
  return op.changing(
      [&]() -> Result<std::unique_ptr<Handle>> {
        op.state.mu.assert_held();
        SBOXFS_ASSIGN(Inode * inode, openable(op, ino));
        if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
        if (inode->is_file()) {
          SBOXFS_TRY(truncate_inode(op, *inode, 0));
          if (!op.need.nothing()) return Operation::missing();
          if (kill) kill_suid(op, *inode);
        }
        std::unique_ptr<Handle> handle = open_handle(op, *inode, flags);
        handle->wrote = true;
        return handle;
      },
      [&](const Result<std::unique_ptr<Handle>>& opened) {
        op.state.mu.assert_held();
        close_handle(op.state, **opened);
      });
}

void Vfs::release(std::unique_ptr<Handle> handle) {
  MutexLock lock(state_.mu);
  close_handle(state_, *handle);
  if (!state_.journal.empty()) state_.work.notify_one();
}

}  // namespace sboxfs
