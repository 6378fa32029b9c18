// Idle eviction: who decides, and the gate at which requests wait meanwhile. The state machine is in src/README.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/mutex.hpp"
#include "sboxfs/fuse/server.hpp"

namespace sboxfs {

/// What the decisions do. Called on the idle thread, but for `revive`, without a Mutex held.
struct IdleActions {
  /// Whether nothing is open, held or uncommitted.
  std::function<bool()> unused;
  /// The kernel forgets all it has cached; returns when it has.
  std::function<void()> take_back;
  /// Everything that may wait for long, while requests are still answered: gives up the lease, publishes. Gives up
  /// itself once `go_on` says false. An error: the session can not leave now.
  std::function<Status(const std::function<bool()>& go_on)> settle;
  /// The session goes; no request is under way.
  std::function<void()> evict;
  /// It comes back; on the thread of a request, in a BlockingSection. Errors are the request's answer.
  std::function<Status()> revive;
  /// Instead of settle and evict: unmounts if nobody uses the mount, and returns whether it did. May be empty.
  std::function<bool()> unmount;
};

/// Thread-safe; one thread.
class Idle final : public Admission {
 public:
  /// `timeout_ns` > 0.
  Idle(const Clock& clock, std::int64_t timeout_ns, IdleActions actions);
  ~Idle() override;
  void start();
  /// Ends the thread; a session that is away stays so until the next enter().
  void stop();

  /// A request comes, and passes once the session is there. Lock-free unless it has to wait.
  /// Errors: what `revive` says; EINTR.
  Status enter() override;
  void leave() override;
  bool away() const EXCLUDES(mutex_);

  /// One look at the clock: what the thread does now and then.
  void look();

 private:
  enum class State { in_use, asked, leaving, away, returning };

  Status wait() EXCLUDES(mutex_);
  Status come_back() EXCLUDES(mutex_);
  void go();
  void be_in_use(std::int64_t now) EXCLUDES(mutex_);
  bool quiet() const { return under_way_ == 0 && entered_ == entered_before_; }
  void loop(const std::stop_token& stop);

  const Clock& clock_;
  const std::int64_t timeout_ns_;
  const IdleActions actions_;

  std::atomic<bool> closed_{false};          // leaving, away or returning
  std::atomic<std::uint64_t> under_way_{0};  // requests that have passed and are not answered
  std::atomic<std::uint64_t> entered_{0};    // requests that have passed so far
  std::atomic<bool> stopping_{false};
  mutable Mutex mutex_;
  CondVar changed_;
  State state_ GUARDED_BY(mutex_) = State::in_use;
  std::uint64_t attempts_ GUARDED_BY(mutex_) = 0;  // to come back
  Status outcome_ GUARDED_BY(mutex_);              // of the last one
  // The idle thread's own.
  std::uint64_t entered_before_ = 0;
  std::int64_t quiet_since_ns_;
  std::jthread thread_;
};

}  // namespace sboxfs
