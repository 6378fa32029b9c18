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
  /// Asked after the lease was granted, before changes are accepted: whether the session may go on. May be empty.
  std::function<Status()> may_write;
  /// Whether that session is certainly dead (the kernel released its lock on this host). May be empty.
  std::function<bool(const SessionId&)> holder_is_dead;
};

/// Thread-safe; two threads: one renews and hands over, the other only watches the clock (the first may hang in a call
/// to the database for longer than the lease lasts). Lock order: Lease, then State::mu.
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

  /// Commits what was accepted and releases the lease, if it is held. For the end of a session: no worker may be
  /// waiting in acquire(). Errors: as Committer::sync and LeaseStore::release; then it is not released (it expires).
  Status give_up();

  /// News::Kind::want_lease and lease_free.
  void on_news(const News& news);
  /// A commit that was sent at `sent_ns` renewed the lease.
  void on_committed(std::int64_t sent_ns);
  /// The epoch is somebody else's (the committer was fenced).
  void on_lost();
  bool held() const;

 private:
  enum class Phase { free, asking, held, draining };

  /// True: the caller shall ask; false: changes are accepted.
  Result<bool> begin();
  Status ask();
  Result<bool> ask_once();
  /// What was accepted under an earlier epoch is refused or committed before a new one is there to commit it under:
  /// others have held the lease, or this session's locks, in between.
  Status wait_settled();
  void take(const LeaseGrant& grant, std::int64_t sent_ns, bool again);
  void loop(const std::stop_token& stop);
  void tend();
  void renew();
  Status hand_over(std::int64_t timeout_ns);
  void guard(const std::stop_token& stop);
  void accept_nothing() REQUIRES(mutex_);
  Epoch epoch() const;

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
  bool mine_ GUARDED_BY(mutex_) = false;       // State::epoch is ours as far as we know, expired or not
  bool reserving_ GUARDED_BY(mutex_) = false;  // more_inos() is asking the database
  bool wanted_ GUARDED_BY(mutex_) = false;     // somebody asks for it
  bool freed_ GUARDED_BY(mutex_) = false;      // news: it was released
  std::uint64_t attempts_ GUARDED_BY(mutex_) = 0;
  Status outcome_ GUARDED_BY(mutex_);  // of the newest attempt
  std::int64_t taken_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t valid_until_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t renew_at_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t looked_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t used_ns_ GUARDED_BY(mutex_) = 0;   // last commit
  std::int64_t given_ns_ GUARDED_BY(mutex_) = 0;  // last hand-over
  std::jthread thread_;
  std::jthread guard_;
};

}  // namespace sboxfs
