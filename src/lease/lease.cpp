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
  thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
}

void Lease::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

void Lease::set_phase(Phase phase) {
  MutexLock lock(mutex_);
  phase_ = phase;
  changed_.notify_all();
}

bool Lease::held() const {
  MutexLock lock(mutex_);
  return phase_ == Phase::held;
}

Epoch Lease::epoch() const {
  MutexLock lock(state_.mu);
  return state_.epoch;
}

void Lease::set_writable(bool writable) {
  MutexLock lock(state_.mu);
  state_.writable = writable;
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
  renewed_ns_ = std::max(renewed_ns_, sent_ns);
  used_ns_ = clock_.monotonic_ns();
}

void Lease::on_lost() {
  MutexLock lock(mutex_);
  if (phase_ == Phase::held) phase_ = Phase::free;
  changed_.notify_all();
}

void Lease::loop(std::stop_token stop) {
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
  const std::int64_t now = clock_.monotonic_ns();
  bool give = false;
  bool due = false;
  bool late = false;
  {
    MutexLock lock(mutex_);
    // An idle lease is given up: the next writer, wherever it is, finds it free.
    const bool idle = now - used_ns_ > options_.lease_ns;
    give = (wanted_ || idle) && now - taken_ns_ >= options_.hold_ns;
    due = now - renewed_ns_ >= options_.renew_ns;
    // Without news the row itself tells of askers.
    if (!bus_.connected() && now - looked_ns_ >= options_.poll_ns) due = true;
    late = now > valid_until_ns_ - options_.margin_ns;
  }
  if (give) {
    const Status given = hand_over();
    if (!given.ok()) log::warn("lease_not_given: ", given.error().what);
    return;
  }
  if (due) renew(epoch());
  if (late) {
    MutexLock lock(mutex_);
    late = clock_.monotonic_ns() > valid_until_ns_ - options_.margin_ns;
  }
  // It may expire before the next chance to renew it: what comes now waits in acquire().
  if (late) set_writable(false);
}

void Lease::renew(Epoch epoch) {
  const std::int64_t sent_ns = clock_.monotonic_ns();
  {
    MutexLock lock(mutex_);
    looked_ns_ = renewed_ns_ = sent_ns;
  }
  const Result<LeaseState> renewed = store_.renew(epoch, options_.lease_ns);
  if (!renewed.ok()) {
    log::debug("lease_renew: ", renewed.error().what);
    // Somebody else has it. What was accepted and not committed finds out by being fenced.
    if (renewed.code() == ESTALE) {
      set_writable(false);
      on_lost();
    }
    return;
  }
  MutexLock lock(mutex_);
  valid_until_ns_ = std::max(valid_until_ns_, sent_ns + options_.lease_ns);
  if (renewed->wanted_by && *renewed->wanted_by != self_) wanted_ = true;
}

Status Lease::hand_over() {
  if (hooks_.write_back) hooks_.write_back();
  {
    MutexLock lock(mutex_);
    if (phase_ != Phase::held) return {};
    phase_ = Phase::draining;
  }
  set_writable(false);
  const Epoch mine = epoch();
  Status status = committer_.sync(options_.lease_ns);
  if (status.ok()) status = store_.release(mine);
  {
    MutexLock lock(mutex_);
    phase_ = Phase::free;
    wanted_ = false;
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
  if (!held()) return committer_.sync(options_.lease_ns);
  return hand_over();
}

}  // namespace sboxfs
