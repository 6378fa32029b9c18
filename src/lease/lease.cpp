// Keeping the lease and giving it away.
#include "sboxfs/lease/lease.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/log.hpp"

namespace sboxfs {

Lease::Lease(State& state, Committer& committer, LeaseStore& store, Bus& bus, Adopter& adopter, const Clock& clock,
             SessionId self, LeaseOptions options, LeaseHooks hooks)
    : state_(state),
      committer_(committer),
      store_(store),
      bus_(bus),
      adopter_(adopter),
      clock_(clock),
      self_(self),
      options_(options),
      hooks_(std::move(hooks)) {}

Lease::~Lease() { stop(); }

void Lease::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
  guard_ = std::jthread([this](const std::stop_token& stop) { guard(stop); });
}

void Lease::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  guard_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
  guard_.join();
}

bool Lease::held() const {
  MutexLock lock(mutex_);
  return phase_ == Phase::held;
}

Epoch Lease::epoch() const {
  MutexLock lock(state_.mu);
  return state_.epoch;
}

void Lease::accept_nothing() {
  MutexLock lock(state_.mu);
  state_.writable = false;
}

void Lease::on_news(const News& news) {
  if (news.session == self_) return;
  MutexLock lock(mutex_);
  if (news.kind == News::Kind::want_lease) wanted_ = true;
  if (news.kind == News::Kind::lease_free) freed_ = true;
  changed_.notify_all();
}

void Lease::on_committed(std::int64_t sent_ns) {
  MutexLock lock(mutex_);
  valid_until_ns_ = std::max(valid_until_ns_, sent_ns + options_.lease_ns);
  renew_at_ns_ = std::max(renew_at_ns_, sent_ns + options_.renew_ns);
  used_ns_ = clock_.monotonic_ns();
}

void Lease::on_lost() {
  MutexLock lock(mutex_);
  mine_ = false;
  accept_nothing();
  if (phase_ == Phase::held) phase_ = Phase::free;
  changed_.notify_all();
}

void Lease::guard(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    const std::int64_t left = valid_until_ns_ - options_.margin_ns - clock_.monotonic_ns();
    // It may expire before it is renewed: what comes now waits in acquire().
    if (left <= 0) accept_nothing();
    const std::int64_t wait_ns = left > 0 ? std::min(left, options_.poll_ns) : options_.poll_ns;
    changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
  }
}

void Lease::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      const std::int64_t held_ns = clock_.monotonic_ns() - taken_ns_;
      const bool young = phase_ == Phase::held && wanted_ && held_ns < options_.hold_ns;
      if (phase_ != Phase::held || !wanted_ || young) {
        const std::int64_t wait_ns = young ? options_.hold_ns - held_ns : options_.poll_ns;
        changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
      }
      if (phase_ != Phase::held) continue;
    }
    if (!stop.stop_requested()) tend();
  }
}

void Lease::tend() {
  bool give = false;
  bool due = false;
  {
    MutexLock lock(mutex_);
    const std::int64_t now = clock_.monotonic_ns();
    due = now >= renew_at_ns_;
    // Without news the row itself tells of askers.
    if (!bus_.connected() && now - looked_ns_ >= options_.poll_ns) due = true;
    // An idle lease is given up: the next writer, wherever it is, finds it free.
    bool idle = now - used_ns_ > options_.lease_ns;
    if (idle) {
      MutexLock state_lock(state_.mu);
      idle = state_.journal.empty() && !state_.journal.in_flight();
    }
    give = (wanted_ || idle) && now - taken_ns_ >= options_.hold_ns;
  }
  if (due) renew();
  if (!give) return;
  // Not for longer than until the next renewal: as long as it can not be given away it must be kept.
  const Status given = hand_over(options_.renew_ns);
  if (!given.ok()) log::warn("lease_not_given: ", given.error().what);
}

void Lease::renew() {
  const Epoch mine = epoch();
  const std::int64_t sent_ns = clock_.monotonic_ns();
  const Result<LeaseState> renewed = store_.renew(mine, options_.lease_ns);
  if (renewed.code() == ESTALE) {
    // Somebody else has it. What was accepted and not committed finds out by being fenced.
    if (mine == epoch()) on_lost();
    return;
  }
  MutexLock lock(mutex_);
  looked_ns_ = sent_ns;
  if (!renewed.ok()) {
    log::debug("lease_renew: ", renewed.error().what);
    renew_at_ns_ = clock_.monotonic_ns() + options_.renew_ns / 6;
    return;
  }
  renew_at_ns_ = std::max(renew_at_ns_, sent_ns + options_.renew_ns);
  valid_until_ns_ = std::max(valid_until_ns_, sent_ns + options_.lease_ns);
  if (renewed->wanted_by && *renewed->wanted_by != self_) wanted_ = true;
}

Status Lease::hand_over(std::int64_t timeout_ns) {
  if (hooks_.write_back) hooks_.write_back();
  {
    MutexLock lock(mutex_);
    if (phase_ != Phase::held) return {};
    phase_ = Phase::draining;
    accept_nothing();
  }
  Status status = committer_.sync(timeout_ns);
  {
    MutexLock lock(mutex_);
    while (reserving_) changed_.wait(lock);
    if (!status.ok()) {
      phase_ = mine_ ? Phase::held : Phase::free;
      changed_.notify_all();
      return status;
    }
  }
  status = store_.release(epoch());
  {
    MutexLock lock(mutex_);
    phase_ = Phase::free;
    mine_ = wanted_ = false;
    given_ns_ = clock_.monotonic_ns();
    changed_.notify_all();
  }
  if (!status.ok()) return status;
  News news;
  news.kind = News::Kind::lease_free;
  news.session = self_;
  if (!bus_.announce(news).ok()) log::debug("lease_free: Redis is away, askers poll");
  return {};
}

Status Lease::give_up() {
  {
    MutexLock lock(mutex_);
    while (phase_ == Phase::draining || phase_ == Phase::asking) changed_.wait(lock);
  }
  if (!held()) return committer_.sync(options_.lease_ns);
  return hand_over(options_.lease_ns);
}

}  // namespace sboxfs
