#include "sboxfs/coherence/watcher.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/log.hpp"

namespace sboxfs {

Watcher::Watcher(State& state, Adoption& adoption, Bus& bus, const Clock& clock, WatcherOptions options,
                 WatcherHooks hooks)
    : state_(state), adoption_(adoption), bus_(bus), clock_(clock), options_(options), hooks_(std::move(hooks)) {}

Watcher::~Watcher() { stop(); }

void Watcher::start() {
  confirmed_ns_ = looked_ns_ = audited_ns_ = clock_.monotonic_ns();
  state_.cacheable = true;
  thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
}

void Watcher::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

void Watcher::on_version(const News& news) {
  {
    MutexLock lock(state_.mu);
    // Our own commits come back as news, and old ones after a reconnect: nothing to do.
    if (news.stamp == state_.seen || news.stamp.batch == state_.flying) return;
    if (news.stamp.version <= state_.seen.version && state_.recent.knows(news.stamp.version - 1, state_.seen.version))
      return;
  }
  MutexLock lock(mutex_);
  news_ = true;
  changed_.notify_all();
}

void Watcher::on_destroyed() {
  MutexLock lock(mutex_);
  news_ = true;  // news is never the truth: the look at Postgres finds out
  changed_.notify_all();
}

void Watcher::on_connected() {
  MutexLock lock(mutex_);
  news_ = true;  // anything may have been missed
  changed_.notify_all();
}

void Watcher::on_disconnected() {
  MutexLock lock(mutex_);
  news_ = true;
  changed_.notify_all();
}

void Watcher::loop(std::stop_token stop) {
  while (!stop.stop_requested() && !state_.destroyed) {
    bool due = false;
    {
      MutexLock lock(mutex_);
      const std::int64_t period = bus_.connected() ? options_.audit_ns : std::min(options_.poll_ns, options_.audit_ns);
      const std::int64_t next = looked_ns_ + period;
      const std::int64_t now = clock_.monotonic_ns();
      if (!news_ && now < next) changed_.wait_for(lock, std::chrono::nanoseconds(next - now));
      due = news_ || clock_.monotonic_ns() >= next;
      news_ = false;
    }
    if (due && !stop.stop_requested()) look(clock_.monotonic_ns() - audited_ns_ >= options_.audit_ns);
  }
}

void Watcher::look(bool audit) {
  const Status status = adoption_.check();
  const std::int64_t now = clock_.monotonic_ns();
  looked_ns_ = now;
  set_health(status.ok(), now);
  if (!status.ok()) log::debug("watcher_look: ", status.error().what);
  if (!status.ok() || !audit) return;
  audited_ns_ = now;
  Stamp seen;
  {
    MutexLock lock(state_.mu);
    seen = state_.seen;
  }
  const Result<std::optional<Version>> key = bus_.published();
  if (key.ok() && *key != seen.version && hooks_.key_differs) hooks_.key_differs(*key, seen);
}

void Watcher::set_health(bool confirmed, std::int64_t now) {
  if (confirmed) {
    confirmed_ns_ = now;
    if (state_.stale.exchange(false)) log::info("fresh: the database answers again");
    state_.cacheable = true;
    return;
  }
  // The subscription alone says that nothing was published, as long as the audit's time has not passed.
  const bool overdue = now - confirmed_ns_ > options_.audit_ns + kSecondNs;
  if (!overdue) return;
  if (!state_.stale.exchange(true))
    log::warn("stale: the database has not answered for ", (now - confirmed_ns_) / kSecondNs, " s");
  if (!bus_.connected() && state_.cacheable.exchange(false) && hooks_.unhealthy) hooks_.unhealthy();
}

}  // namespace sboxfs
