#include "sboxfs/coherence/publisher.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/fault.hpp"
#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
constexpr std::int64_t kDrainPause = 50 * kMillisecondNs;
}  // namespace

Publisher::Publisher(Committer& committer, Bus& bus, Sink& sink, const State& state, const Clock& clock, SessionId self,
                     PublisherOptions options)
    : committer_(committer), bus_(bus), sink_(sink), state_(state), clock_(clock), self_(self), options_(options) {}

Publisher::~Publisher() { stop(); }

void Publisher::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

void Publisher::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

void Publisher::committed(const Change& change, Version previous) {
  News news;
  news.stamp = change.stamp;
  news.previous = previous;
  news.epoch = change.epoch;
  news.session = self_;
  news.delta = change.delta;
  MutexLock state_lock(state_.mu);  // `seen` must not move while it is compared
  const bool newest = news.stamp == state_.seen;
  MutexLock lock(mutex_);
  committed_ns_ = clock_.monotonic_ns();
  if (published_ >= news.stamp.version) {
    // Acknowledged already; or, if this is what the database has, the key was lost or belonged to another history.
    if (!newest) return;
    published_ = recorded_ = news.stamp.version - 1;
  }
  if (pending_ && pending_->stamp.version < news.stamp.version) {
    // One announcement for both: what it skips, its listeners ask Postgres for.
    news.previous = std::min(pending_->previous, news.previous);
    news.delta.reset();
  } else if (pending_ && (!newest || pending_->stamp == news.stamp)) {
    return;
  }
  retry_ns_ = 0;
  pending_ = std::move(news);
  changed_.notify_all();
}

void Publisher::acknowledged(Version version) {
  MutexLock lock(mutex_);
  published_ = std::max(published_, version);
  recorded_ = std::max(recorded_, version);
  committer_.published_version = published_;
}

void Publisher::restart(Version acknowledged) {
  MutexLock lock(mutex_);
  pending_.reset();
  away_ = false;
  retry_ns_ = 0;
  committer_.published_version = published_ = recorded_ = acknowledged;
}

void Publisher::retry_now() {
  MutexLock lock(mutex_);
  retry_ns_ = 0;
  away_ = false;
  changed_.notify_all();
}

Version Publisher::published() const {
  MutexLock lock(mutex_);
  return published_;
}

std::int64_t Publisher::wait_ns() const {
  const std::int64_t now = clock_.monotonic_ns();
  if (pending_ && !publishing_) return std::max<std::int64_t>(retry_ns_ - now, 0);
  if (!pending_ && recorded_ < published_)
    return std::max<std::int64_t>(committed_ns_ + options_.record_after_ns - now, 0);
  return options_.drain_interval_ns;
}

void Publisher::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    bool publish = false;
    {
      MutexLock lock(mutex_);
      const std::int64_t wait = wait_ns();
      if (wait > 0) {
        changed_.wait_for(lock, nanoseconds(wait));
        continue;
      }
      publish = pending_.has_value();
    }
    if (publish) {
      publish_one();
    } else {
      record();
    }
  }
}

void Publisher::publish_one() {
  News news;
  {
    MutexLock state_lock(state_.mu);
    MutexLock lock(mutex_);
    if (!pending_ || publishing_) return;
    // Nobody publishes for a destroyed sandbox, nor a version that the database has lost (it was restored).
    const Version seen = state_.seen.version;
    const bool lost =
        pending_->stamp.version > seen || (pending_->stamp.version == seen && pending_->stamp != state_.seen);
    if (state_.destroyed || (lost && !fault::point("publish.early"))) {
      pending_.reset();
      changed_.notify_all();
      return;
    }
    news = *pending_;
    publishing_ = true;
  }
  fault::point("publish.before");
  const Result<Version> key = bus_.publish(news);
  MutexLock lock(mutex_);
  publishing_ = false;
  if (!key.ok()) {
    if (!away_) log::warn("publish_pending: version ", news.stamp.version, ": ", key.error().what);
    away_ = true;
    retry_ns_ = clock_.monotonic_ns() + options_.drain_interval_ns;
    changed_.notify_all();
    return;
  }
  if (away_) log::info("publish_drained: version ", news.stamp.version);
  away_ = false;
  published_ = std::max(published_, news.stamp.version);
  committer_.published_version = published_;
  if (pending_ && pending_->stamp.version <= published_) pending_.reset();
  changed_.notify_all();
}

void Publisher::record() {
  Version version = 0;
  {
    MutexLock lock(mutex_);
    version = published_;
  }
  const Status status = sink_.published(version);
  MutexLock lock(mutex_);
  // Tried again with the next commit, or after the same pause.
  committed_ns_ = clock_.monotonic_ns();
  if (status.ok()) recorded_ = std::max(recorded_, version);
}

bool Publisher::wait_published(Version version, std::int64_t timeout_ns) {
  BlockingSection waiting;
  const std::int64_t end = clock_.monotonic_ns() + timeout_ns;
  MutexLock lock(mutex_);
  while (published_ < version && (pending_ || publishing_)) {
    const std::int64_t left = end - clock_.monotonic_ns();
    if (away_ || left <= 0 || BlockingSection::interrupted()) return false;
    changed_.wait_for(lock, nanoseconds(std::min<std::int64_t>(left, 50 * kMillisecondNs)));
  }
  return true;
}

Status Publisher::drain(std::int64_t timeout_ns) {
  const std::int64_t end = clock_.monotonic_ns() + timeout_ns;
  for (;;) {
    publish_one();
    MutexLock lock(mutex_);
    if (!pending_ && !publishing_) break;
    const std::int64_t left = end - clock_.monotonic_ns();
    if (left <= 0)
      return fail(EAGAIN, cat("Redis does not answer; version ", pending_ ? pending_->stamp.version : 0,
                              " stays in the outbox and is published later"));
    changed_.wait_for(lock, nanoseconds(std::min(left, kDrainPause)));
  }
  bool unrecorded = false;
  {
    MutexLock lock(mutex_);
    unrecorded = recorded_ < published_;
  }
  if (unrecorded) record();
  return {};
}

}  // namespace sboxfs
