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
  looked_ns_ = audited_ns_ = clock_.monotonic_ns();
  {
    MutexLock lock(mutex_);
    confirmed_ns_ = looked_ns_;
  }
  state_.cacheable = true;
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
  judge_ = std::jthread([this](const std::stop_token& stop) { judge_in_time(stop); });
}

void Watcher::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  judge_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
  judge_.join();
}

void Watcher::heard() {
  MutexLock lock(mutex_);
  ++heard_;
  changed_.notify_all();
}

void Watcher::on_version(const News& news) {
  {
    MutexLock lock(state_.mu);
    // Our own commits come back as news, and versions adopted meanwhile: nothing to do. An equal number of another
    // batch is another history.
    if (news.stamp == state_.seen || news.stamp.batch == state_.flying) return;
    if (news.stamp.version < state_.seen.version && state_.recent.knows(news.stamp.version, state_.seen.version))
      return;
  }
  heard();
}

void Watcher::loop(const std::stop_token& stop) {
  while (!stop.stop_requested() && !state_.destroyed) {
    std::uint64_t heard_before = 0;
    const bool connected = bus_.connected();
    {
      MutexLock lock(mutex_);
      const bool quiet = connected && !failed_ && adopted_ == heard_;
      const std::int64_t next =
          looked_ns_ + (quiet ? options_.audit_ns : std::min(options_.poll_ns, options_.audit_ns));
      const std::int64_t now = clock_.monotonic_ns();
      if (heard_ == looked_ && now < next) {
        // Not for the whole time: whether Redis is away is not always told.
        const std::int64_t wait_ns = std::min(next - now, options_.poll_ns);
        changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
        continue;
      }
      heard_before = looked_ = heard_;
    }
    look(heard_before, clock_.monotonic_ns() - audited_ns_ >= options_.audit_ns);
  }
}

void Watcher::look(std::uint64_t heard_before, bool audit) {
  // The key is read first: the database can only be ahead of it then, unless the key is wrong.
  const Result<std::optional<Version>> key = audit ? bus_.published() : fail(EAGAIN);
  const Status status = adoption_.check();
  looked_ns_ = clock_.monotonic_ns();
  {
    MutexLock lock(mutex_);
    failed_ = !status.ok();
    if (status.ok()) {
      adopted_ = heard_before;
      confirmed_ns_ = looked_ns_;
    }
  }
  judge();
  if (!status.ok()) log::debug("watcher_look: ", status.error().what);
  if (!status.ok() || !audit) return;
  audited_ns_ = looked_ns_;
  if (const Status usage = adoption_.read_usage(); !usage.ok()) log::debug("watcher_usage: ", usage.error().what);
  if (key.ok()) compare(*key);
}

void Watcher::compare(const std::optional<Version>& key) {
  Stamp seen;
  {
    MutexLock lock(state_.mu);
    seen = state_.seen;
  }
  const bool high = key && *key > seen.version;
  // Who has just committed publishes in a moment; what is missing for a whole interval is lost.
  const bool low = key.value_or(0) < std::min(audited_version_, seen.version);
  audited_version_ = seen.version;
  if ((high || low) && hooks_.key_differs) hooks_.key_differs(key, seen);
}

void Watcher::judge_in_time(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    judge();
    MutexLock lock(mutex_);
    if (!stop.stop_requested()) changed_.wait_for(lock, std::chrono::nanoseconds(options_.poll_ns));
  }
}

void Watcher::judge() {
  const bool connected = bus_.connected();
  MutexLock lock(mutex_);
  const std::int64_t now = clock_.monotonic_ns();
  if (connected && adopted_ == heard_) confirmed_ns_ = now;
  if (now - confirmed_ns_ <= options_.audit_ns + kSecondNs) {
    state_.cacheable = true;
    if (state_.stale.exchange(false)) log::info("fresh: confirmed again");
    return;
  }
  if (!state_.stale.exchange(true))
    log::warn("stale: nobody has confirmed the state for ", (now - confirmed_ns_) / kSecondNs, " s");
  const bool was_cacheable = state_.cacheable.exchange(false);
  lock.unlock();
  if (was_cacheable && hooks_.unhealthy) hooks_.unhealthy();
}

}  // namespace sboxfs
