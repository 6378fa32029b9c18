// The writer lease of one session. The state machine is in src/README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/coherence/fetcher.hpp"
#include "sboxfs/journal/committer.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/lease/access.hpp"
#include "sboxfs/ports/bus.hpp"
#include "sboxfs/ports/lease_store.hpp"

namespace sboxfs {

struct LeaseOptions {
  std::int64_t lease_ns = 10 * kSecondNs;
  std::int64_t renew_ns = 3 * kSecondNs;
  std::int64_t hold_ns = 10 * kMillisecondNs;   ///< kept at least this long after it was taken
  std::int64_t poll_ns = 200 * kMillisecondNs;  ///< how often the holder looks for askers while Redis is away
  std::int64_t margin_ns = 1 * kSecondNs;       ///< so long before it may expire the holder stops accepting changes
  bool read_only = false;
};

struct LeaseHooks {
  /// Writes mapped dirty pages back, while changes are still accepted. May be empty.
  std::function<void()> write_back;
  /// Whether that session is certainly dead (the kernel released its lock on this host). May be empty.
  std::function<bool(const SessionId&)> holder_is_dead;
};

/// Thread-safe.
class Lease final : public WriteAccess {
 public:
  Lease(State& state, Committer& committer, LeaseStore& store, Bus& bus, Adopter& adopter, const Clock& clock,
        SessionId self, LeaseOptions options, LeaseHooks hooks);
  ~Lease() override;

  Status acquire() override;
  Status more_inos() override;

  void start();
  /// Stops the thread; the lease stays as it is (give_up() first).
  void stop();

  /// Commits what was accepted and releases the lease, if it is held. Errors: as Committer::sync; then it is not
  /// released (it expires).
  Status give_up();

  /// News::Kind::want_lease and lease_free.
  void on_news(const News& news);
  /// A commit that was sent at `sent_ns` renewed the lease.
  void on_committed(std::int64_t sent_ns);
  /// The committer was fenced.
  void on_lost();
  bool held() const;

 private:
  enum class Phase { free, asking, held, draining };

  Status ask();
  Result<bool> ask_once();
  void take(const LeaseGrant& grant, std::int64_t sent_ns);
  void loop(std::stop_token stop);
  void tend();
  void renew(Epoch epoch);
  Status hand_over();
  void set_phase(Phase phase) EXCLUDES(mutex_);
  Epoch epoch() const;
  void set_writable(bool writable);

  State& state_;
  Committer& committer_;
  LeaseStore& store_;
  Bus& bus_;
  Adopter& adopter_;
  const Clock& clock_;
  const SessionId self_;
  const LeaseOptions options_;
  const LeaseHooks hooks_;
  mutable Mutex mutex_;
  CondVar changed_;
  Phase phase_ GUARDED_BY(mutex_) = Phase::free;
  bool wanted_ GUARDED_BY(mutex_) = false;  // somebody asks for it
  bool freed_ GUARDED_BY(mutex_) = false;   // news: it was released
  std::int64_t taken_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t valid_until_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t renewed_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t looked_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t used_ns_ GUARDED_BY(mutex_) = 0;   // last commit
  std::int64_t given_ns_ GUARDED_BY(mutex_) = 0;  // last hand-over
  std::jthread thread_;
};

}  // namespace sboxfs
