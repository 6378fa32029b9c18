#include "operation.hpp"

namespace sboxfs {
namespace {

/// Changes made through this handle may be among those that were lost.
Status not_lost(State& state, const Handle& handle, const Locks* locks) {
  if (locks != nullptr && locks->lost(handle.ino, handle.lock_losses)) return fail(EIO, "the file's locks were lost");
  if (!handle.wrote.load(std::memory_order_relaxed) || handle.losses == state.losses) return {};
  MutexLock lock(state.mu);
  if (const auto lost = state.lost.find(handle.ino); lost != state.lost.end()) lost->second.told = true;
  return fail(EIO, "changes were lost with the lease");
}

/// Changes of the inode, whoever made them (a mapping, another handle), may be among those that were lost after `told`.
Status none_lost(State& state, Ino ino, std::uint64_t told) {
  MutexLock lock(state.mu);
  const auto lost = state.lost.find(ino);
  if (lost == state.lost.end() || lost->second.number <= told) return {};
  lost->second.told = true;
  return fail(EIO, "changes were lost with the lease");
}

/// The same for a handle; it is told once.
Status none_lost(State& state, Handle& handle, const Locks* locks) {
  SBOXFS_TRY(not_lost(state, handle, locks));
  const std::uint64_t losses = state.losses;
  Status status = none_lost(state, handle.ino, handle.told);
  if (!status.ok()) handle.told = losses;
  return status;
}

}  // namespace

Status Vfs::flush(Handle& handle) {
  SBOXFS_TRY(not_lost(state_, handle, locks));
  if (options_.durability != Durability::cto || !handle.wrote.load(std::memory_order_relaxed)) return {};
  SBOXFS_TRY(committer_.sync());
  if (wait_published) wait_published();
  return not_lost(state_, handle, locks);
}

Status Vfs::fsync(Handle& handle) {
  if (state_.destroyed) return fail(ESTALE);
  SBOXFS_TRY(none_lost(state_, handle, locks));
  SBOXFS_TRY(committer_.sync());
  return none_lost(state_, handle, locks);
}

Status Vfs::fsync_dir(Ino dir) {
  if (state_.destroyed) return fail(ESTALE);
  Status status = none_lost(state_, dir, 0);
  if (status.ok()) status = committer_.sync();
  if (status.ok()) status = none_lost(state_, dir, 0);
  // No handle remembers who was told: the first one is.
  MutexLock lock(state_.mu);
  if (!status.ok()) state_.lost.erase(dir);
  return status;
}

}  // namespace sboxfs
