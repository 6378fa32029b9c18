// Hears of other sessions' versions and adopts them; compares with Postgres now and then whatever it has heard.
//
// Confirmed (memory is known to be current): the subscription is up and everything heard over it was adopted, or a look
// at Postgres has just succeeded. Without confirmation for the audit interval and a second more the session is stale;
// then the kernel forgets everything and may not cache replies until it is confirmed again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/bus.hpp"

namespace sboxfs {

struct WatcherOptions {
  std::int64_t audit_ns = 5 * kSecondNs;
  std::int64_t poll_ns = 250 * kMillisecondNs;  ///< of Postgres, while Redis is away or a look has failed
};

struct WatcherHooks {
  /// The key's value does not fit the database: above what the database has, or (nothing: missing) below what it had
  /// an audit ago. lower() or publish again. Called on the watcher's thread.
  std::function<void(std::optional<Version> key, const Stamp& truth)> key_differs;
  /// The kernel must forget everything: State::cacheable has just become false. Must not block.
  std::function<void()> unhealthy;
};

/// Thread-safe; two threads: one looks, the other judges health by the clock (the first may hang in a look).
class Watcher {
 public:
  Watcher(State& state, Adoption& adoption, Bus& bus, const Clock& clock, WatcherOptions options, WatcherHooks hooks);
  ~Watcher();
  /// Memory is current now: the caller has just read the sandbox's stamp.
  void start();
  void stop();

  // From the bus's listener; they only wake the thread.
  void on_version(const News& news);
  void on_destroyed() { heard(); }     ///< news is never the truth: the look at Postgres finds out
  void on_connected() { heard(); }     ///< anything may have been missed
  void on_disconnected() { heard(); }  ///< polling begins

 private:
  void heard();
  void loop(const std::stop_token& stop);
  void look(std::uint64_t heard_before, bool audit);
  void compare(const std::optional<Version>& key);
  void judge_in_time(const std::stop_token& stop);
  void judge();

  State& state_;
  Adoption& adoption_;
  Bus& bus_;
  const Clock& clock_;
  const WatcherOptions options_;
  const WatcherHooks hooks_;
  Mutex mutex_;
  CondVar changed_;
  std::uint64_t heard_ GUARDED_BY(mutex_) = 0;        // events so far
  std::uint64_t looked_ GUARDED_BY(mutex_) = 0;       // of them known when the last look began
  std::uint64_t adopted_ GUARDED_BY(mutex_) = 0;      // ... when the last successful one began
  bool failed_ GUARDED_BY(mutex_) = false;            // the last look
  std::int64_t confirmed_ns_ GUARDED_BY(mutex_) = 0;  // when memory was last known to be current
  std::int64_t looked_ns_ = 0;                        // the looking thread's own
  std::int64_t audited_ns_ = 0;
  Version audited_version_ = 0;
  std::jthread thread_;
  std::jthread judge_;
};

}  // namespace sboxfs
