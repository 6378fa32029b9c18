#include "loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <chrono>

namespace sboxfs::fuse {
namespace {

constexpr unsigned kPlaces = 2;
constexpr std::size_t kMostThreads = 256;
constexpr std::int64_t kSpinNs = 50'000;
// How long requests that wait for Postgres may go on after stop().
constexpr std::int64_t kGraceNs = 2 * kSecondNs;

thread_local bool has_place = false;

}  // namespace

Loop::Loop(fuse_session* session, int fd, Context& context)
    : session_(session), fd_(fd), context_(context), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Loop::~Loop() = default;

void Loop::run() {
  work();
  std::list<std::thread> threads;
  {
    MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void Loop::stop() {
  if (stopping_.exchange(true)) return;
  stop_ns_ = SystemClock().monotonic_ns();
  const std::uint64_t one = 1;
  // The counter can not overflow with one write; without it poll would only end with the next request.
  if (::write(wake_.get(), &one, sizeof one) != sizeof one) log::warn("loop_stop: the eventfd refused");
  MutexLock lock(mutex_);
  place_.notify_all();
}

bool Loop::give_up() const { return stopping_ && SystemClock().monotonic_ns() - stop_ns_ > kGraceNs; }

void Loop::start_thread() {
  if (threads_.size() >= kMostThreads || stopping_) return;
  threads_.emplace_back([this] { work(); });
}

bool Loop::take_place() {
  MutexLock lock(mutex_);
  ++idle_;
  while (!stopping_ && active_ > 0 && (wanted_ == 0 || active_ >= kPlaces)) place_.wait(lock);
  --idle_;
  if (stopping_) return false;
  if (wanted_ > 0) --wanted_;
  ++active_;
  has_place = true;
  return true;
}

void Loop::drop_place() {
  if (!has_place) return;
  has_place = false;
  MutexLock lock(mutex_);
  --active_;
}

void Loop::leave() {
  if (!has_place) return;
  has_place = false;
  MutexLock lock(mutex_);
  if (--active_ > 0) return;
  if (idle_ > 0) {
    place_.notify_one();
  } else {
    start_thread();
  }
}

void Loop::call_second() {
  MutexLock lock(mutex_);
  if (active_ >= kPlaces || wanted_ > 0) return;
  ++wanted_;
  if (idle_ > 0) {
    place_.notify_one();
  } else {
    start_thread();
  }
}

Loop::Got Loop::sleep() {
  {
    MutexLock lock(mutex_);
    if (polling_) return Got::nothing;
    polling_ = true;
  }
  pollfd fds[2] = {{fd_, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  ::poll(fds, 2, -1);
  MutexLock lock(mutex_);
  polling_ = false;
  return stopping_ ? Got::end : Got::request;
}

Loop::Got Loop::receive(fuse_buf& buffer) {
  const SystemClock clock;
  std::int64_t spin_end = 0;
  for (bool first = true;; first = false) {
    if (stopping_) return Got::end;
    const int got = fuse_session_receive_buf(session_, &buffer);
    if (got > 0) {
      // Requests queue up: two readers answer them faster than one.
      if (first) call_second();
      return Got::request;
    }
    if (got == -EINTR) continue;
    if (got != -EAGAIN || fuse_session_exited(session_) != 0) return Got::end;
    const std::int64_t now = clock.monotonic_ns();
    if (spin_end == 0) spin_end = now + kSpinNs;
    if (now < spin_end) continue;
    const Got slept = sleep();
    if (slept != Got::request) return slept;
    spin_end = 0;
  }
}

void Loop::work() {
  Worker worker(context_.state, *this);
  set_worker(&worker);
  fuse_buf buffer{};
  bool ended = false;
  while (!ended && take_place()) {
    while (has_place) {
      const Got got = receive(buffer);
      if (got == Got::request) {
        context_.last_request_ns.store(SystemClock().monotonic_ns(), std::memory_order_relaxed);
        fuse_session_process_buf(session_, &buffer);
        continue;
      }
      drop_place();
      ended = got == Got::end;
    }
  }
  if (ended) stop();
  set_worker(nullptr);
  free(buffer.mem);
}

}  // namespace sboxfs::fuse
