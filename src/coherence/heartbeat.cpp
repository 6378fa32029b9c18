#include "sboxfs/coherence/heartbeat.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {
// Requests get their turn after so many buckets: a tree may have millions of inodes.
constexpr std::size_t kSlice = 2048;
}  // namespace

Heartbeat::~Heartbeat() { stop(); }

void Heartbeat::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

void Heartbeat::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

void Heartbeat::beat_now() {
  MutexLock lock(mutex_);
  now_ = true;
  changed_.notify_all();
}

void Heartbeat::loop(const std::stop_token& stop) {
  bool kept = true;
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      const std::int64_t pause_ns = kept ? options_.alive_ns / 3 : options_.alive_ns / 30;
      if (!now_) changed_.wait_for(lock, std::chrono::nanoseconds(pause_ns));
      now_ = false;
    }
    if (!stop.stop_requested()) kept = beat();
  }
}

bool Heartbeat::beat() {
  Status kept = keep();
  if (kept.code() == ESTALE && !state_.destroyed) {
    // Declared dead while the database was out of reach: what it had pinned may be gone; it goes on as a new row.
    const Result<Stamp> opened = store_.open_session(options_.host, options_.mount_point, options_.alive_ns);
    if (opened.ok()) log::warn("session_was_dead: it is registered again");
    kept = opened.ok() ? keep() : Status(opened.error());
  }
  if (!kept.ok()) log::debug("heartbeat: ", kept.error().what);
  return kept.ok();
}

std::vector<Ino> Heartbeat::pins(Version& seen) {
  std::vector<Ino> found;
  MutexLock lock(state_.mu);
  auto& inodes = state_.tree.inodes();
  // What is removed later belongs to a later version; what is open and removed now stays until it is closed.
  seen = state_.seen.version;
  state_.lately_removed.clear();
  std::size_t buckets = inodes.bucket_count();
  for (std::size_t bucket = 0; bucket < buckets;) {
    for (const std::size_t end = std::min(bucket + kSlice, buckets); bucket < end; ++bucket)
      for (auto at = inodes.begin(bucket); at != inodes.end(bucket); ++at)
        if (at->second.unlinked && at->second.opens > 0) found.push_back(at->first);
    if (bucket == buckets) break;
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
    if (inodes.bucket_count() == buckets) continue;
    // Everything has moved to other buckets.
    buckets = inodes.bucket_count();
    bucket = 0;
    found.clear();
  }
  return found;
}

Status Heartbeat::keep() {
  Version seen = 0;
  const std::vector<Ino> held = pins(seen);
  return store_.keep_session(seen, held, options_.alive_ns);
}

}  // namespace sboxfs
