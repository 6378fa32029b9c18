#include "operation.hpp"

namespace sboxfs {
namespace {

/// Changes made through this handle may be among those that were lost.
Status not_lost(const State& state, const Handle& handle) {
  if (handle.wrote.load(std::memory_order_relaxed) && handle.losses != state.losses)
    return fail(EIO, "changes were lost with the lease");
  return {};
}

}  // namespace

Status Vfs::flush(Handle& handle) {
  SBOXFS_TRY(not_lost(state_, handle));
  if (options_.durability != Durability::cto || !handle.wrote.load(std::memory_order_relaxed)) return {};
  SBOXFS_TRY(committer_.sync());
  if (wait_published) wait_published();
  return not_lost(state_, handle);
}

Status Vfs::fsync(const Handle* handle) {
  if (state_.destroyed) return fail(ESTALE);
  if (handle != nullptr) SBOXFS_TRY(not_lost(state_, *handle));
  SBOXFS_TRY(committer_.sync());
  return handle != nullptr ? not_lost(state_, *handle) : Status();
}

}  // namespace sboxfs
