// One session's Locks over shared rows and a shared Redis.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>

#include "eventually.hpp"
#include "fake_bus.hpp"
#include "fake_clock.hpp"
#include "fake_lock_store.hpp"
#include "sboxfs/locks/locks.hpp"

namespace sboxfs::test {

inline constexpr LockType kNone = LockType::none, kShared = LockType::shared, kExclusive = LockType::exclusive;

/// How a parked request ended.
struct Parked {
  std::shared_ptr<LockWaiter> waiter;
  std::shared_ptr<std::atomic<int>> result = std::make_shared<std::atomic<int>>(-1);  // -1: it waits
  bool ends_with(int code) const {
    return eventually([&] { return *result != -1; }) && *result == code;
  }
};

/// The clock stands still: for a database that fails and is not tried again.
inline LockOptions impatient() {
  LockOptions out;
  out.io_timeout_ns = 0;
  return out;
}

struct Peer {
  Peer(FakeLockRows& shared_rows, FakeRedis& redis, LockOptions options = {})
      : rows(shared_rows), store(rows, self), bus(redis), locks(store, bus, clock, self, options, hooks()) {
    Bus::Listener listener;
    listener.on_news = [this](const News& news) {
      if (news.session != self) locks.on_news();
    };
    bus.listen(std::move(listener));
    bus.start();
    locks.start();
  }
  ~Peer() {
    locks.stop();
    bus.stop();
  }

  LockHooks hooks() {
    LockHooks out;
    out.dirty = [this] { return dirty.load(); };
    out.commit = [this] {
      ++commits;
      if (commit_fails != 0) return Status(fail(commit_fails));
      dirty = false;
      return Status();
    };
    out.refresh = [this](const LockAnswer&) {
      ++refreshes;
      return refresh_fails != 0 ? Status(fail(refresh_fails)) : Status();
    };
    out.is_dead = [this](const SessionId& session) { return dead && *dead == session; };
    out.lost = [this](const std::vector<LockTarget>& gone) {
      lost += static_cast<int>(gone.size());
      if (on_lost) on_lost(gone);
    };
    return out;
  }

  LockCall call(LockType type, std::uint64_t owner = 1, std::uint64_t start = 0, std::uint64_t stop = kLockEnd,
                Ino ino = 5, LockKind kind = LockKind::record) const {
    LockCall out;
    out.target = {ino, kind, owner};
    out.range = {start, stop, type == kExclusive, 42};
    out.type = type;
    out.handle = owner;
    return out;
  }
  LockCall flock(LockType type, std::uint64_t owner = 1) const {
    return call(type, owner, 0, kLockEnd, 5, LockKind::flock);
  }
  int set(const LockCall& wanted) { return locks.set(wanted, false).code(); }
  /// As the kernel's F_SETLKW: the answer at once, or a parked request.
  Parked wait(const LockCall& wanted) {
    Parked out;
    const Status status = locks.set(wanted, true);
    if (status.code() != EAGAIN) {
      *out.result = status.code();
      return out;
    }
    out.waiter = std::make_shared<LockWaiter>(wanted, [at = out.result](const Status& end) { *at = end.code(); });
    locks.park(out.waiter);
    return out;
  }

  const SessionId self = Uuid::random();
  FakeLockRows& rows;
  FakeLockStore store;
  FakeClock clock;
  FakeBus bus;
  std::atomic<bool> dirty{false};
  std::atomic<int> commits{0}, commit_fails{0}, refreshes{0}, lost{0}, refresh_fails{0};
  std::optional<SessionId> dead;
  std::function<void(const std::vector<LockTarget>&)> on_lost;
  Locks locks;
};

}  // namespace sboxfs::test
