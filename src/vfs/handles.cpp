#include "handles.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "attributes.hpp"

namespace sboxfs {
namespace {
bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }
}  // namespace

std::unique_ptr<Handle> open_handle(Operation& op, Inode& inode, int flags) {
  auto handle = std::make_unique<Handle>();
  handle->ino = inode.ino;
  handle->flags = flags;
  handle->losses = op.state.losses;
  ++inode.opens;
  if (writes(flags) && ++inode.writers == 1) op.state.open_for_writing.insert(inode.ino);
  return handle;
}

void close_handle(State& state, const Handle& handle) {
  Inode* inode = state.tree.peek(handle.ino);
  if (inode == nullptr) return;
  if (inode->opens > 0) --inode->opens;
  if (writes(handle.flags) && inode->writers > 0 && --inode->writers == 0) state.open_for_writing.erase(inode->ino);
  drop_if_unused(state, handle.ino);
}

void hold(State& state, Inode& inode, std::int64_t blocks) {
  state.held.add(blocks, inode.held ? 0 : 1);
  inode.held = true;
  inode.held_blocks += blocks;
}

namespace {

void let_go(State& state, Inode& inode) {
  state.mu.assert_held();
  if (!inode.held) return;
  state.held.add(-inode.held_blocks, -1);
  inode.held = false;
  inode.held_blocks = 0;
}

}  // namespace

void drop_if_unused(State& state, Ino ino) {
  Inode* inode = state.tree.peek(ino);
  if (inode == nullptr || !inode->unlinked || inode->opens > 0) return;
  let_go(state, *inode);
  if (inode->orphan_in_store) {
    // Without the lease the pin goes with the session's next heartbeat: only the writer makes batches.
    if (state.writable) state.journal.unpin(*inode);
    inode->orphan_in_store = false;
  }
  if (inode->lookups == 0 && inode->pins == 0) state.tree.erase(ino);
}

bool kill_suid(Operation& op, Inode& inode) {
  bool changed = false;
  const std::uint32_t mode = inode.attr.mode;
  if (inode.is_file()) {
    if ((mode & S_ISUID) != 0) inode.attr.mode &= ~std::uint32_t{S_ISUID};
    // Without group execute the bit once meant mandatory locking, and stays.
    if ((mode & S_ISGID) != 0 && (mode & S_IXGRP) != 0) inode.attr.mode &= ~std::uint32_t{S_ISGID};
    changed = inode.attr.mode != mode;
  }
  if (inode.xattrs && erase_xattr(op, inode, "security.capability")) changed = true;
  if (changed) op.state.journal.touch(inode);
  return changed;
}

}  // namespace sboxfs
