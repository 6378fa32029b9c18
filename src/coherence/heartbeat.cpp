#include "sboxfs/coherence/heartbeat.hpp"

#include <chrono>
#include <vector>

#include "sboxfs/base/log.hpp"

namespace sboxfs {

Heartbeat::~Heartbeat() { stop(); }

void Heartbeat::start() {
  thread_ = std::jthread([this](std::stop_token stop) { loop(stop); });
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

void Heartbeat::loop(std::stop_token stop) {
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

Status Heartbeat::keep() {
  Version seen = 0;
  std::vector<Ino> pins;
  {
    MutexLock lock(state_.mu);
    seen = state_.seen.version;
    for (const auto& [ino, inode] : state_.tree.inodes())
      if (inode.unlinked && inode.opens > 0) pins.push_back(ino);
  }
  return store_.keep_session(seen, pins, options_.alive_ns);
}

}  // namespace sboxfs
