#include "idle.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {

// How often the clock is looked at, as a part of the time-out; it lasts so much longer at most.
constexpr std::int64_t kLooks = 10;

}  // namespace

Idle::Idle(const Clock& clock, std::int64_t timeout_ns, IdleActions actions)
    : clock_(clock), timeout_ns_(timeout_ns), actions_(std::move(actions)), quiet_since_ns_(clock.monotonic_ns()) {}

Idle::~Idle() { stop(); }

void Idle::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

void Idle::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

Status Idle::enter() {
  for (;;) {
    // Counted before the gate is looked at, which is closed before the count is: one of the two sees the other.
    ++under_way_;
    if (!closed_) {
      ++entered_;
      return {};
    }
    --under_way_;
    SBOXFS_TRY(wait());
  }
}

void Idle::leave() { --under_way_; }

bool Idle::away() const {
  MutexLock lock(mutex_);
  return state_ == State::away;
}

Status Idle::wait() {
  BlockingSection waiting;
  std::uint64_t waited_for = 0;
  {
    MutexLock lock(mutex_);
    for (;;) {
      if (!closed_) return {};
      if (BlockingSection::interrupted()) return fail(EINTR);
      if (state_ == State::returning) {
        waited_for = attempts_;
      } else if (state_ == State::away) {
        // Of many who wait, each after a failure trying for itself would make the last one wait that often.
        const bool failed = waited_for != 0 && waited_for == attempts_ && outcome_.code() != EINTR;
        if (failed) return outcome_;
        state_ = State::returning;
        ++attempts_;
        break;
      }
      changed_.wait_for(lock, std::chrono::milliseconds(50));
    }
  }
  return come_back();
}

Status Idle::come_back() {
  Status back = actions_.revive();
  MutexLock lock(mutex_);
  outcome_ = back;
  state_ = back.ok() ? State::in_use : State::away;
  closed_ = !back.ok();
  changed_.notify_all();
  return back;
}

void Idle::be_in_use(std::int64_t now) {
  entered_before_ = entered_;
  quiet_since_ns_ = now;
  MutexLock lock(mutex_);
  if (state_ == State::asked || state_ == State::leaving) state_ = State::in_use;
  closed_ = state_ != State::in_use;
  changed_.notify_all();
}

void Idle::look() {
  const std::int64_t now = clock_.monotonic_ns();
  State state = State::in_use;
  {
    MutexLock lock(mutex_);
    state = state_;
  }
  if (state != State::in_use && state != State::asked) return;
  if (!quiet()) {
    be_in_use(now);
    return;
  }
  const std::int64_t quiet_ns = now - quiet_since_ns_;
  if (quiet_ns < (state == State::asked ? timeout_ns_ : timeout_ns_ / 2)) return;
  if (!actions_.unused()) {
    be_in_use(now);
    return;
  }
  if (state == State::asked) {
    go();
    return;
  }
  {
    MutexLock lock(mutex_);
    state_ = State::asked;
  }
  // A request that comes from here on, with whatever the kernel then caches again, is counted.
  actions_.take_back();
}

void Idle::go() {
  if (actions_.unmount) {
    if (!actions_.unmount()) be_in_use(clock_.monotonic_ns());
    return;
  }
  if (const Status settled = actions_.settle([this] { return quiet() && !stopping_; }); !settled.ok()) {
    log::debug("idle_stays: ", settled.error().what);
    be_in_use(clock_.monotonic_ns());
    return;
  }
  {
    MutexLock lock(mutex_);
    state_ = State::leaving;
    closed_ = true;
  }
  if (!quiet() || !actions_.unused()) {
    be_in_use(clock_.monotonic_ns());
    return;
  }
  actions_.evict();
  MutexLock lock(mutex_);
  state_ = State::away;
  changed_.notify_all();
}

void Idle::loop(const std::stop_token& stop) {
  const std::int64_t pause_ns = std::max<std::int64_t>(timeout_ns_ / kLooks, kMillisecondNs);
  while (!stop.stop_requested()) {
    look();
    MutexLock lock(mutex_);
    if (!stop.stop_requested()) changed_.wait_for(lock, std::chrono::nanoseconds(pause_ns));
  }
}

}  // namespace sboxfs
