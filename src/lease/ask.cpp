// Getting the lease: one attempt at a time, the other workers wait for its outcome.
#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/lease/lease.hpp"

namespace sboxfs {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSlice{50};
constexpr milliseconds kFirstPause{2};
constexpr milliseconds kLastPause{100};
// After a hand-over the asker gets a head start over our own workers.
constexpr std::int64_t kHeadStartNs = 3 * kMillisecondNs;

}  // namespace

Status Lease::acquire() {
  if (options_.read_only) return fail(EROFS);
  BlockingSection waiting;
  SBOXFS_ASSIGN(const bool attempt, begin());
  if (!attempt) return {};
  Status status = ask();
  MutexLock lock(mutex_);
  outcome_ = status;
  phase_ = mine_ ? Phase::held : Phase::free;
  changed_.notify_all();
  return status;
}

Result<bool> Lease::begin() {
  std::uint64_t waited_for = 0;
  MutexLock lock(mutex_);
  for (;;) {
    if (state_.destroyed) return fail(ESTALE, "the sandbox was destroyed");
    if (BlockingSection::interrupted()) return fail(EINTR);
    if (phase_ == Phase::held) {
      MutexLock state_lock(state_.mu);
      if (state_.writable) return false;
    }
    const bool failed = waited_for == attempts_ && waited_for != 0 && !outcome_.ok() && outcome_.code() != EINTR;
    if (phase_ != Phase::asking && failed) return outcome_.error();
    // Held without accepting changes: it ran out of time, and is asked for again.
    if ((phase_ == Phase::free || phase_ == Phase::held) && !reserving_) break;
    if (phase_ == Phase::asking) waited_for = attempts_;
    changed_.wait_for(lock, kSlice);
  }
  phase_ = Phase::asking;
  ++attempts_;
  return true;
}

Status Lease::ask() {
  milliseconds pause = kFirstPause;
  {
    MutexLock lock(mutex_);
    const std::int64_t since = clock_.monotonic_ns() - given_ns_;
    if (given_ns_ != 0 && since < kHeadStartNs) changed_.wait_for(lock, std::chrono::nanoseconds(kHeadStartNs - since));
  }
  for (;;) {
    {
      MutexLock lock(mutex_);
      freed_ = false;
    }
    SBOXFS_ASSIGN(const bool granted, ask_once());
    if (granted) return {};
    News want;
    want.kind = News::Kind::want_lease;
    want.session = self_;
    const bool told = bus_.announce(want).ok();
    MutexLock lock(mutex_);
    // With Redis the holder's release is news; the pause only bounds what a lost message costs.
    if (!freed_) changed_.wait_for(lock, told ? std::max(pause, milliseconds(20)) : pause);
    pause = std::min(pause * 2, kLastPause);
    if (state_.destroyed) return fail(ESTALE, "the sandbox was destroyed");
    if (BlockingSection::interrupted()) return fail(EINTR);
  }
}

Result<bool> Lease::ask_once() {
  std::int64_t sent_ns = clock_.monotonic_ns();
  SBOXFS_ASSIGN(LeaseAnswer answer, store_.acquire(options_.lease_ns, std::nullopt));
  if (!answer.grant && answer.state.writer && hooks_.holder_is_dead && hooks_.holder_is_dead(*answer.state.writer)) {
    sent_ns = clock_.monotonic_ns();
    SBOXFS_ASSIGN(answer, store_.acquire(options_.lease_ns, answer.state.writer));
  }
  bool again = false;
  {
    MutexLock lock(mutex_);
    MutexLock state_lock(state_.mu);
    // The same epoch: nobody else has changed anything, and what is not committed yet still can be.
    again = mine_ && answer.grant && answer.grant->epoch == state_.epoch;
    if (!again) mine_ = false;
  }
  if (!answer.grant) return false;
  if (!again) {
    // Nothing is accepted before memory equals the version the lease was granted at.
    Status ready = hooks_.may_write ? hooks_.may_write() : Status();
    if (ready.ok()) ready = wait_settled();
    if (ready.ok()) ready = adopter_.adopt(answer.grant->stamp.version);
    if (!ready.ok()) {
      if (const Status released = store_.release(answer.grant->epoch); !released.ok()) return released.error();
      return ready.error();
    }
  }
  take(*answer.grant, sent_ns, again);
  return true;
}

Status Lease::wait_settled() {
  MutexLock lock(state_.mu);
  while (state_.journal.in_flight() || !state_.journal.empty()) {
    if (state_.destroyed) return fail(ESTALE, "the sandbox was destroyed");
    if (BlockingSection::interrupted()) return fail(EINTR);
    state_.committed.wait_for(lock, kSlice);
  }
  return {};
}

void Lease::take(const LeaseGrant& grant, std::int64_t sent_ns, bool again) {
  MutexLock lock(mutex_);
  const std::int64_t now = clock_.monotonic_ns();
  if (!again) {
    taken_ns_ = used_ns_ = now;
    wanted_ = false;
  }
  mine_ = true;
  looked_ns_ = now;
  renew_at_ns_ = sent_ns + options_.renew_ns;
  valid_until_ns_ = sent_ns + options_.lease_ns;
  MutexLock state_lock(state_.mu);
  state_.epoch = grant.epoch;
  state_.next_ino = grant.inos_from;
  state_.end_ino = grant.inos_from + grant.inos_count;
  // Half of the round trip is the best guess for when the database read its clock.
  state_.clock_offset_ns = grant.database_wall_ns + (now - sent_ns) / 2 - clock_.wall_ns();
  state_.writable = now < valid_until_ns_ - options_.margin_ns;
  changed_.notify_all();
}

Status Lease::more_inos() {
  BlockingSection waiting;
  {
    MutexLock lock(mutex_);
    while (reserving_) {
      if (BlockingSection::interrupted()) return fail(EINTR);
      changed_.wait_for(lock, kSlice);
    }
    // Only who holds it may ask: the call would take a free lease.
    if (phase_ != Phase::held || !mine_) return {};
    MutexLock state_lock(state_.mu);
    if (state_.next_ino < state_.end_ino) return {};
    reserving_ = true;
  }
  const Result<LeaseAnswer> answer = store_.acquire(options_.lease_ns, std::nullopt);
  const bool ours = answer.ok() && answer->grant && answer->grant->epoch == epoch();
  Status status;
  if (!answer.ok()) {
    status = answer.error();
  } else if (!ours) {
    // Somebody had it meanwhile: what the call brought is given back, and the caller asks for the lease anew.
    if (answer->grant) status = store_.release(answer->grant->epoch);
    on_lost();
  }
  MutexLock lock(mutex_);
  reserving_ = false;
  changed_.notify_all();
  if (!ours) return status;
  MutexLock state_lock(state_.mu);
  state_.next_ino = answer->grant->inos_from;
  state_.end_ino = answer->grant->inos_from + answer->grant->inos_count;
  return {};
}

}  // namespace sboxfs
