#include <fcntl.h>

#include "sboxfs/base/log.hpp"
#include "sboxfs/vfs/vfs.hpp"

namespace sboxfs {
namespace {

LockCall call_of(const Handle& handle, const Vfs::LockWish& wish) {
  LockCall call;
  call.target = {handle.ino, wish.kind, wish.owner};
  call.range = wish.range;
  call.type = wish.type;
  call.handle = reinterpret_cast<std::uintptr_t>(&handle);
  call.losses = handle.lock_losses;
  return call;
}

}  // namespace

Status Vfs::lock(const Handle& handle, const LockWish& wish, bool wait) {
  if (state_.destroyed) return fail(ESTALE);
  return locks->set(call_of(handle, wish), wait);
}

std::shared_ptr<LockWaiter> Vfs::lock_waiter(const Handle& handle, const LockWish& wish,
                                             std::function<void(const Status&)> done) const {
  return std::make_shared<LockWaiter>(call_of(handle, wish), std::move(done));
}

Result<std::optional<LockRange>> Vfs::test_lock(const Handle& handle, const LockWish& wish) {
  SBOXFS_ASSIGN(const std::optional<LockConflict> found, locks->test(call_of(handle, wish)));
  if (!found) return std::optional<LockRange>();
  return std::optional<LockRange>(found->range);
}

void Vfs::let_go(const Handle& handle, std::uint64_t owner) {
  if (locks == nullptr) return;
  const Status done = locks->close_owner(handle.ino, owner, reinterpret_cast<std::uintptr_t>(&handle));
  if (!done.ok()) log::debug("locks: let go later: ", done.error().what);
}

}  // namespace sboxfs
