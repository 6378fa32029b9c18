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
  {
    MutexLock lock(mutex_);
    for (;;) {
      if (state_.destroyed) return fail(ESTALE, "the sandbox was destroyed");
      if (BlockingSection::interrupted()) return fail(EINTR);
      if (phase_ == Phase::held) {
        lock.unlock();
        bool writable = false;
        {
          MutexLock state_lock(state_.mu);
          writable = state_.writable;
        }
        lock.lock();
        if (writable) return {};
        if (phase_ == Phase::held) break;  // it ran out of time: asked for again
        continue;
      }
      if (phase_ == Phase::free) break;
      changed_.wait_for(lock, kSlice);
    }
    phase_ = Phase::asking;
  }
  const Status status = ask();
  set_phase(status.ok() ? Phase::held : Phase::free);
  return status;
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
  const std::int64_t sent_ns = clock_.monotonic_ns();
  SBOXFS_ASSIGN(LeaseAnswer answer, store_.acquire(options_.lease_ns, std::nullopt));
  if (!answer.grant && answer.state.writer && hooks_.holder_is_dead && hooks_.holder_is_dead(*answer.state.writer)) {
    SBOXFS_ASSIGN(answer, store_.acquire(options_.lease_ns, answer.state.writer));
  }
  if (answer.state.destroyed) {
    state_.destroyed = true;
    return fail(ESTALE, "the sandbox was destroyed");
  }
  if (!answer.grant) return false;
  // Nothing is accepted before memory equals the version the lease was granted at.
  if (const Status adopted = adopter_.adopt(answer.grant->stamp.version); !adopted.ok()) {
    if (const Status released = store_.release(answer.grant->epoch); !released.ok()) return released.error();
    return adopted.error();
  }
  take(*answer.grant, sent_ns);
  return true;
}

void Lease::take(const LeaseGrant& grant, std::int64_t sent_ns) {
  {
    MutexLock lock(mutex_);
    taken_ns_ = renewed_ns_ = looked_ns_ = used_ns_ = clock_.monotonic_ns();
    valid_until_ns_ = sent_ns + options_.lease_ns;
    wanted_ = false;
  }
  MutexLock lock(state_.mu);
  state_.epoch = grant.epoch;
  state_.next_ino = grant.inos_from;
  state_.end_ino = grant.inos_from + grant.inos_count;
  // Half of the round trip is the best guess for when the database read its clock.
  const std::int64_t half = (clock_.monotonic_ns() - sent_ns) / 2;
  state_.clock_offset_ns = grant.database_wall_ns + half - clock_.wall_ns();
  state_.writable = true;
}

Status Lease::more_inos() {
  BlockingSection waiting;
  SBOXFS_ASSIGN(const LeaseAnswer answer, store_.acquire(options_.lease_ns, std::nullopt));
  if (!answer.grant) return {};  // lost meanwhile: the caller asks for the lease again
  MutexLock lock(state_.mu);
  if (!state_.writable || state_.epoch != answer.grant->epoch || state_.next_ino < state_.end_ino) return {};
  state_.next_ino = answer.grant->inos_from;
  state_.end_ino = answer.grant->inos_from + answer.grant->inos_count;
  return {};
}

}  // namespace sboxfs
