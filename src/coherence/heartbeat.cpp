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
  while (!stop.stop_requested()) {
    {
      MutexLock lock(mutex_);
      if (!now_) changed_.wait_for(lock, std::chrono::nanoseconds(options_.alive_ns / 3));
      now_ = false;
    }
    if (!stop.stop_requested()) beat();
  }
}

void Heartbeat::beat() {
  Version seen = 0;
  std::vector<Ino> pins;
  {
    MutexLock lock(state_.mu);
    seen = state_.seen.version;
    for (const auto& [ino, inode] : state_.tree.inodes())
      if (inode.unlinked && inode.opens > 0) pins.push_back(ino);
  }
  const Status kept = store_.keep_session(seen, pins, options_.alive_ns);
  if (kept.ok() || state_.destroyed) return;
  if (kept.code() != ESTALE) {
    log::debug("heartbeat: ", kept.error().what);
    return;
  }
  // Declared dead while the database was out of reach: what it had pinned may be gone; it goes on as a new row.
  log::warn("session_was_dead: it is registered again");
  const Result<Stamp> opened = store_.open_session(options_.host, options_.mount_point, options_.alive_ns);
  if (!opened.ok()) log::warn("session_row: ", opened.error().what);
}

}  // namespace sboxfs
