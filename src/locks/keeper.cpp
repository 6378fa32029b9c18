// The threads of Locks: one tries what waits and puts the database right, the other renews what is held.
#include <algorithm>
#include <chrono>

#include "sboxfs/base/log.hpp"
#include "sboxfs/locks/locks.hpp"

namespace sboxfs {
namespace {

// Many who wait ask less often each.
constexpr std::int64_t kPerWaiterNs = 5 * kMillisecondNs;
constexpr std::int64_t kIdleNs = 3600 * kSecondNs;

}  // namespace

void Locks::keep(const std::stop_token& stop) {
  bool failing = false;
  while (!stop.stop_requested()) {
    const bool connected = bus_.connected();
    {
      MutexLock lock(mutex_);
      const std::int64_t look = std::max(connected ? options_.look_ns : options_.poll_ns,
                                         static_cast<std::int64_t>(waiters_.size()) * kPerWaiterNs);
      const std::int64_t pause = !waiters_.empty() ? look : dirty_ ? options_.poll_ns : kIdleNs;
      const bool work = (retry_ && !waiters_.empty()) || (dirty_ && !failing);
      if (!work && !stopped_) changed_.wait_for(lock, std::chrono::nanoseconds(pause));
      if (stopped_) return;
      retry_ = false;
    }
    failing = !put_right();
    try_waiters();
  }
}

bool Locks::put_right() {
  Targets wrong;
  {
    MutexLock lock(mutex_);
    if (!dirty_) return true;
    dirty_ = false;
    for (const auto& [target, held] : held_)
      if (held.dirty) wrong.push_back(target);
  }
  bool all = true;
  for (const LockTarget& target : wrong) {
    if (all && put_right(target)) continue;
    all = false;
  }
  if (!all) {
    MutexLock lock(mutex_);
    dirty_ = true;
  }
  return all;
}

bool Locks::put_right(const LockTarget& target) {
  Asking asking;
  {
    MutexLock lock(mutex_);
    const auto at = held_.find(target);
    if (at == held_.end() || !at->second.dirty) return true;
    if (at->second.busy) return true;  // its end says that there is something left to do
    at->second.busy = true;
    asking.terms = next_terms();
    asking.terms.fence = asking.terms.call;  // what is put right must not be undone by a call that was given up
    asking.request.target = target;
    asking.request.after = at->second.ranges;
  }
  ask(asking, true, false);
  Targets gone;
  {
    MutexLock lock(mutex_);
    if (asking.claim != claims_) asking.status = fail(EIO, "the database has restarted");  // tried again
    Held& held = held_[target];
    const bool same = asking.terms.incarnation == incarnation_;
    const bool done = asking.status.ok() && asking.answer.outcome == LockOutcome::done;
    if (done && same && held.ranges == asking.request.after) held.dirty = false;
    retry_ = true;
    if (asking.status.ok() && asking.answer.outcome == LockOutcome::lost && same) {
      held.dirty = false;  // all of it is gone
      lose(gone);
    }
    // A destroyed sandbox has no locks.
    if (asking.status.code() == ESTALE) held.dirty = false;
    end(target);
  }
  tell(gone);
  wake(asking.answer);
  return asking.status.ok() || asking.status.code() == ESTALE;
}

void Locks::try_waiters() {
  std::vector<std::shared_ptr<LockWaiter>> waiters;
  {
    MutexLock lock(mutex_);
    waiters = waiters_;
  }
  for (const auto& waiter : waiters) {
    {
      MutexLock lock(mutex_);
      if (stopped_) return;
      if (waiter->state != LockWaiter::State::parked) continue;
      // Its word is in the database; who is in the way is one of ours, and alive.
      if (conflicts_here(waiter->call)) continue;
    }
    try_waiter(waiter);
  }
}

void Locks::try_waiter(const std::shared_ptr<LockWaiter>& waiter) {
  const Status status = try_set(waiter->call, true, false, waiter.get());
  if (status.code() == EAGAIN) {
    waiter->failing_ns = 0;
    return;
  }
  if (status.code() == EIO && !lost(waiter->call.target.ino, waiter->call.losses)) {
    const std::int64_t now = clock_.monotonic_ns();
    if (waiter->failing_ns == 0) waiter->failing_ns = now;
    if (now - waiter->failing_ns < options_.io_timeout_ns) return;
  }
  {
    MutexLock lock(mutex_);
    // A grant has marked it already; anything else loses against who gave up meanwhile.
    if (!status.ok() && waiter->state == LockWaiter::State::ended) return;
    const auto at = std::find(waiters_.begin(), waiters_.end(), waiter);
    if (at == waiters_.end()) return;  // given up; a grant was taken back
    waiters_.erase(at);
    waiter->state = LockWaiter::State::ended;
    if (!status.ok() && status.code() != EDEADLK) {
      held_[waiter->call.target].dirty = dirty_ = true;
      targets_ = held_.size();
    }
  }
  waiter->done(status);
}

void Locks::renew(const std::stop_token& stop) {
  std::int64_t pause = options_.lease_ns / 3;
  while (!stop.stop_requested()) {
    bool holds = false;
    {
      MutexLock lock(mutex_);
      const std::int64_t end = clock_.monotonic_ns() + pause;
      while (!stopped_ && clock_.monotonic_ns() < end)
        changed_.wait_for(lock, std::chrono::nanoseconds(end - clock_.monotonic_ns()));
      if (stopped_) return;
      holds = terms().holds || !waiters_.empty();
    }
    const Status renewed = holds ? renew_once() : Status();
    if (!renewed.ok()) log::debug("locks_renew: ", renewed.error().what);
    pause = renewed.ok() ? options_.lease_ns / 3 : options_.lease_ns / 15;
  }
}

Status Locks::renew_once() {
  LockTerms mine;
  std::uint64_t claims = 0;
  {
    MutexLock lock(mutex_);
    mine = terms();
    claims = claims_;
  }
  const Result<LockOutcome> kept = store_.keep(mine);
  if (!kept.ok()) return kept.error();
  if (*kept == LockOutcome::restarted) return claim(mine, claims);
  Targets gone;
  {
    MutexLock lock(mutex_);
    if (*kept == LockOutcome::lost && mine.incarnation == incarnation_) lose(gone);
  }
  tell(gone);
  return {};
}

}  // namespace sboxfs
