#include "handles.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "attributes.hpp"

namespace sboxfs {
namespace {
constexpr std::int64_t kDay = 24 * 3600 * kSecondNs;

bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }
}  // namespace

std::unique_ptr<Handle> open_handle(Operation& op, Inode& inode, int flags) {
  auto handle = std::make_unique<Handle>();
  handle->ino = inode.ino;
  handle->flags = flags;
  handle->losses = op.state.losses;
  handle->told = handle->losses;
  if (op.locks != nullptr) handle->lock_losses = op.locks->losses();
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

void drop_if_unused(State& state, Ino ino) {
  Inode* inode = state.tree.peek(ino);
  if (inode == nullptr || !inode->unlinked || inode->opens > 0) return;
  state.let_go(*inode);
  if (inode->orphan_in_store) {
    // Without the lease the pin goes with the session's next heartbeat: only the writer makes batches.
    if (state.writable) state.journal.unpin(*inode);
    inode->orphan_in_store = false;
  }
  if (inode->lookups == 0 && inode->pins == 0) state.tree.erase(ino);
}

void forget_lookups(State& state, Ino ino, std::uint64_t count) {
  if (state.tree.forget(ino, count) == 0) drop_if_unused(state, ino);
}

Status none_lost(Operation& op, const Inode& inode) {
  if (op.options.durability == Durability::sync) return {};  // each call has told of its own changes
  const auto lost = op.state.lost.find(inode.ino);
  if (lost == op.state.lost.end() || lost->second.told) return {};
  lost->second.told = true;
  return fail(EIO, "changes were lost with the lease");
}

bool touch_atime(Operation& op, Inode& inode) {
  const VfsOptions& options = op.options;
  if (options.read_only || options.atime == Atime::never || !op.state.writable) return false;
  if (options.nodiratime && inode.is_dir()) return false;
  const std::int64_t now = op.now();
  const Attr& attr = inode.attr;
  const bool recent = attr.atime > attr.mtime && attr.atime > attr.ctime && now - attr.atime < kDay;
  if (options.atime == Atime::relative && recent) return false;
  inode.attr.atime = now;
  op.state.journal.touch_lazily(inode);
  return true;
}

std::optional<std::uint32_t> without_suid(Operation& op, const Inode& inode, const Caller& who) {
  std::uint32_t mode = inode.attr.mode & ~std::uint32_t{S_ISUID};
  if ((mode & S_ISGID) == 0) return mode;
  if ((mode & S_IXGRP) == 0) {
    const Credentials* credentials = op.credentials(who);
    if (credentials == nullptr) return std::nullopt;
    if (credentials->fsetid || credentials->in_group(inode.attr.gid)) return mode;
  }
  return mode & ~std::uint32_t{S_ISGID};
}

bool drop_capability(Operation& op, Inode& inode) {
  return inode.xattrs && erase_xattr(op, inode, "security.capability");
}

}  // namespace sboxfs
