// Cuts off a connection whose server hangs: shutdown(2) on the socket makes the blocked read return.
#pragma once

#include <cstdint>
#include <thread>

#include "sboxfs/base/mutex.hpp"

namespace sboxfs::pg_detail {

/// Thread-safe; one thread of its own.
class Watchdog {
 public:
  Watchdog();
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Shuts the socket down at `deadline_ns` (CLOCK_MONOTONIC), unless disarm() comes first.
  void arm(int socket, std::int64_t deadline_ns) EXCLUDES(mutex_);
  void disarm() EXCLUDES(mutex_);

 private:
  void loop() EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  int socket_ GUARDED_BY(mutex_) = -1;
  std::int64_t deadline_ns_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace sboxfs::pg_detail
