// What every daemon does for its tenant besides its own sandbox: publishes what others left in the outbox, and deletes
// in small steps what nobody can reach any more.
#pragma once

#include <cstdint>
#include <thread>

#include "housework.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/mutex.hpp"

namespace sboxfs {

/// Thread-safe; one thread.
class Housekeeper {
 public:
  Housekeeper(Housework& work, std::int64_t interval_ns, std::int64_t step_pause_ns = 20 * kMillisecondNs)
      : work_(work), interval_ns_(interval_ns), step_pause_ns_(step_pause_ns) {}
  ~Housekeeper();
  void start();
  void stop();

  /// Everything once, in steps with pauses between them: what the thread does every interval. Ends early when `stop` is
  /// requested.
  void round(const std::stop_token& stop);

 private:
  void loop(const std::stop_token& stop);
  void publish_outbox();
  void delete_garbage(const std::stop_token& stop);
  void purge_destroyed(const std::stop_token& stop);
  bool pause(const std::stop_token& stop, std::int64_t ns);

  Housework& work_;
  const std::int64_t interval_ns_;
  const std::int64_t step_pause_ns_;
  Hash marked_to_;  // the thread's own: where the next round goes on to mark blobs
  Mutex mutex_;
  CondVar wake_;
  std::jthread thread_;
};

}  // namespace sboxfs
