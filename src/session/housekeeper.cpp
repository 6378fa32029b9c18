#include "housekeeper.hpp"

#include <chrono>

#include "sboxfs/base/log.hpp"
#include "sboxfs/redis/news.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

constexpr unsigned kStep = 500;
constexpr std::int64_t kStepPauseNs = 20 * kMillisecondNs;
constexpr std::int64_t kForgetAgeNs = 60 * kSecondNs;

}  // namespace

Housekeeper::~Housekeeper() { stop(); }

void Housekeeper::start() {
  thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
}

void Housekeeper::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    wake_.notify_all();
  }
  thread_.join();
}

bool Housekeeper::pause(std::stop_token stop, std::int64_t ns) {
  MutexLock lock(mutex_);
  if (!stop.stop_requested()) wake_.wait_for(lock, std::chrono::nanoseconds(ns));
  return !stop.stop_requested();
}

void Housekeeper::loop(std::stop_token stop) {
  while (pause(stop, interval_ns_)) {
    publish_outbox();
    if (!stop.stop_requested()) purge_destroyed(stop);
    if (!stop.stop_requested()) delete_garbage(stop);
  }
}

void Housekeeper::publish_outbox() {
  const Result<std::vector<OutboxItem>> items = outbox(pool_, tenant_);
  if (!items.ok()) {
    log::debug("outbox: ", items.error().what);
    return;
  }
  for (const OutboxItem& item : *items) {
    if (item.destroyed) {
      if (keys_.erase(item.id).ok() && !mark_erased(pool_, tenant_, item.id).ok()) log::debug("outbox: not marked");
      continue;
    }
    // A writer publishes for itself.
    if (!item.lease_free) continue;
    News news;
    news.stamp = item.stamp;
    news.previous = item.published_version;
    news.epoch = item.epoch;
    const Result<Version> key = keys_.publish(item.id, item.stamp.version, encode_news(news));
    if (!key.ok()) return;  // Redis is away: all of it stays in the outbox
    if (mark_published(pool_, tenant_, item.id, item.stamp.version).ok())
      log::info("outbox_published: ", item.id.text(), " version ", item.stamp.version);
  }
}

void Housekeeper::purge_destroyed(std::stop_token stop) {
  const Result<std::vector<DestroyedSandbox>> gone = destroyed_sandboxes(pool_, tenant_, 100);
  if (!gone.ok()) return;
  for (const DestroyedSandbox& sandbox : *gone) {
    for (;;) {
      const Result<std::uint64_t> rows = purge_step(pool_, tenant_, sandbox.id, kStep * 4);
      if (!rows.ok() || *rows == 0) break;
      if (!pause(stop, kStepPauseNs)) return;
    }
    // A publish that hung in a stopped Redis may have brought the key back: erased once more before the row goes.
    if (sandbox.age_ns >= kForgetAgeNs && sandbox.erased && keys_.erase(sandbox.id).ok()) {
      const Result<bool> forgotten = forget_sandbox(pool_, tenant_, sandbox.id, kForgetAgeNs);
      if (!forgotten.ok()) log::debug("forget: ", forgotten.error().what);
    }
  }
}

void Housekeeper::delete_garbage(std::stop_token stop) {
  const auto steps = [&](auto step) {
    for (;;) {
      const Result<std::uint64_t> rows = step();
      if (!rows.ok() || *rows == 0 || !pause(stop, kStepPauseNs)) return;
    }
  };
  steps([&] { return delete_dead_sessions(pool_, tenant_, kStep); });
  steps([&] { return delete_orphans(pool_, tenant_, kStep); });
  steps([&] { return delete_old_changes(pool_, tenant_, kStep); });
  steps([&] { return delete_dead_blobs(pool_, tenant_, kStep); });
  Hash from;
  for (;;) {
    const Result<MarkedBlobs> marked = mark_dead_blobs(pool_, tenant_, from, kStep * 4);
    if (!marked.ok() || !marked->next || !pause(stop, kStepPauseNs)) return;
    from = *marked->next;
  }
}

}  // namespace sboxfs
