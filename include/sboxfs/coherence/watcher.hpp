// Hears of other sessions' versions and adopts them; compares with Postgres now and then whatever it has heard.
//
// Healthy: the subscription is up, or polling Postgres works. Only then may the kernel cache replies.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/bus.hpp"

namespace sboxfs {

struct WatcherOptions {
  std::int64_t audit_ns = 5 * kSecondNs;
  std::int64_t poll_ns = 250 * kMillisecondNs;  ///< of Postgres, while Redis is away
};

struct WatcherHooks {
  /// The key's value did not fit the database: lower() or publish again. Called on the watcher's thread.
  std::function<void(std::optional<Version> key, const Stamp& truth)> key_differs;
  /// The kernel must forget everything (before caching is given up).
  std::function<void()> unhealthy;
};

/// Thread-safe; one thread.
class Watcher {
 public:
  Watcher(State& state, Adoption& adoption, Bus& bus, const Clock& clock, WatcherOptions options, WatcherHooks hooks);
  ~Watcher();
  void start();
  void stop();

  // From the bus's listener; they only wake the thread.
  void on_version(const News& news);
  void on_destroyed();
  void on_connected();
  void on_disconnected();

 private:
  void loop(std::stop_token stop);
  void look(bool audit);
  void set_health(bool confirmed, std::int64_t now);

  State& state_;
  Adoption& adoption_;
  Bus& bus_;
  const Clock& clock_;
  const WatcherOptions options_;
  const WatcherHooks hooks_;
  Mutex mutex_;
  CondVar changed_;
  bool news_ GUARDED_BY(mutex_) = false;
  std::int64_t looked_ns_ = 0;  // the thread's own: last look at Postgres
  std::int64_t audited_ns_ = 0;
  std::int64_t confirmed_ns_ = 0;  // last time the state was known to be current
  std::jthread thread_;
};

}  // namespace sboxfs
