#include "housekeeper.hpp"

#include <chrono>

#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {

constexpr unsigned kStep = 500;

}  // namespace

Housekeeper::~Housekeeper() { stop(); }

void Housekeeper::start() {
  // Whoever lives for a few rounds only must not leave the same end of them to nobody.
  marked_to_ = sha256(Uuid::random().text());
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
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

bool Housekeeper::pause(const std::stop_token& stop, std::int64_t ns) {
  MutexLock lock(mutex_);
  if (!stop.stop_requested()) wake_.wait_for(lock, std::chrono::nanoseconds(ns));
  return !stop.stop_requested();
}

void Housekeeper::loop(const std::stop_token& stop) {
  while (pause(stop, interval_ns_)) round(stop);
}

void Housekeeper::round(const std::stop_token& stop) {
  publish_outbox();
  if (!stop.stop_requested()) purge_destroyed(stop);
  if (!stop.stop_requested()) delete_garbage(stop);
}

void Housekeeper::publish_outbox() {
  const Result<std::vector<OutboxItem>> items = work_.outbox();
  if (!items.ok()) {
    log::debug("outbox: ", items.error().what);
    return;
  }
  for (const OutboxItem& item : *items) {
    if (item.destroyed) {
      if (!work_.erase_key(item.id).ok()) return;  // Redis is away: all of it stays in the outbox
      if (!work_.mark_erased(item.id).ok()) log::debug("outbox: not marked");
      continue;
    }
    // A writer publishes for itself.
    if (!item.lease_free) continue;
    if (!work_.publish(item).ok()) return;
    if (work_.mark_published(item).ok())
      log::info("outbox_published: ", item.id.text(), " version ", item.stamp.version);
  }
}

void Housekeeper::purge_destroyed(const std::stop_token& stop) {
  const Result<std::vector<DestroyedSandbox>> gone = work_.destroyed(100);
  if (!gone.ok()) return;
  for (const DestroyedSandbox& sandbox : *gone) {
    for (;;) {
      const Result<std::uint64_t> rows = work_.purge(sandbox.id, kStep * 4);
      if (!rows.ok() || *rows == 0) break;
      if (!pause(stop, step_pause_ns_)) return;
    }
    // A publish that hung in a stopped Redis may have brought the key back: erased once more before the row goes.
    if (sandbox.age_ns >= kForgetAgeNs && sandbox.erased && work_.erase_key(sandbox.id).ok()) {
      const Result<bool> forgotten = work_.forget(sandbox.id, kForgetAgeNs);
      if (!forgotten.ok()) log::debug("forget: ", forgotten.error().what);
    }
  }
}

void Housekeeper::delete_garbage(const std::stop_token& stop) {
  const auto steps = [&](auto step) {
    for (;;) {
      const Result<std::uint64_t> rows = step();
      if (!rows.ok() || *rows == 0 || !pause(stop, step_pause_ns_)) return;
    }
  };
  steps([&] { return work_.delete_dead_sessions(kStep); });
  steps([&] { return work_.delete_orphans(kStep); });
  steps([&] { return work_.delete_old_changes(kStep); });
  steps([&] { return work_.delete_dead_blobs(kStep); });
  // Marking looks at every blob: one page a round, by every daemon, is no load however many blobs there are.
  if (stop.stop_requested()) return;
  const Result<MarkedBlobs> marked = work_.mark_dead_blobs(marked_to_, kStep * 4);
  if (marked.ok()) marked_to_ = marked->next.value_or(Hash{});
}

}  // namespace sboxfs
