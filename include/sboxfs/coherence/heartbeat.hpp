// Keeps the session's row alive: what it has seen, and which orphans it holds open (design, section 4: pins).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/lease_store.hpp"

namespace sboxfs {

struct HeartbeatOptions {
  std::string host;
  std::string mount_point;
  std::int64_t alive_ns = 30 * kSecondNs;
};

/// Thread-safe; one thread.
class Heartbeat {
 public:
  Heartbeat(State& state, LeaseStore& store, HeartbeatOptions options)
      : state_(state), store_(store), options_(std::move(options)) {}
  ~Heartbeat();
  void start();
  void stop();
  /// Beats soon (an open inode was removed by others: its pin must be written).
  void beat_now();

 private:
  void loop(const std::stop_token& stop);
  bool beat();
  Status keep();
  /// The inodes that are open here and have lost their last name, as of `seen`.
  std::vector<Ino> pins(Version& seen);

  State& state_;
  LeaseStore& store_;
  const HeartbeatOptions options_;
  Mutex mutex_;
  CondVar changed_;
  bool now_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace sboxfs
