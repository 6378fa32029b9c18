#include "loop.hpp"

#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace sboxfs::fuse {
namespace {

constexpr unsigned kPlaces = 2;
constexpr std::size_t kMostThreads = 256;
constexpr std::int64_t kSpinNs = 50'000;
// How long requests that wait for Postgres may go on after hurry().
constexpr std::int64_t kGraceNs = 2 * kSecondNs;

// INIT up to its flags: older kernels send no more.
constexpr std::size_t kInitBytes = 16;

thread_local bool has_place = false;
// Made by start_thread(); the first thread is run()'s caller.
thread_local bool may_end = false;

}  // namespace

Loop::Loop(fuse_session* session, int fd, Context& context)
    : session_(session), fd_(fd), context_(context), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Loop::~Loop() {
  if (!refuser_.joinable()) return;
  closing_ = true;
  wake();
  refuser_.join();
}

void Loop::run() {
  work();
  std::list<std::thread> threads;
  {
    MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  trim();
  if (fuse_session_exited(session_) != 0) return;
  std::uint64_t woken = 0;
  if (::read(wake_.get(), &woken, sizeof woken) < 0) log::debug("loop: nobody had to be woken");
  refuser_ = std::thread([this] { refuse(); });
}

void Loop::wake() {
  const std::uint64_t one = 1;
  // The counter can not overflow with so few writes; without it poll would only end with the next request.
  if (::write(wake_.get(), &one, sizeof one) != sizeof one) log::warn("loop_wake: the eventfd refused");
}

void Loop::hurry() {
  std::int64_t never = 0;
  hurry_ns_.compare_exchange_strong(never, SystemClock().monotonic_ns());
}

void Loop::stop() {
  if (stopping_.exchange(true)) return;
  hurry();
  wake();
  MutexLock lock(mutex_);
  place_.notify_all();
}

bool Loop::give_up() const {
  const std::int64_t since = hurry_ns_;
  return since != 0 && SystemClock().monotonic_ns() - since > kGraceNs;
}

void Loop::start_thread() {
  if (stopping_ || full_) return;
  try {
    threads_.emplace_back([this] {
      may_end = true;
      work();
    });
  } catch (const std::system_error& error) {
    // The host's limit is lower than ours.
    log::warn("loop_threads: no more than ", threads_.size() + 1, ": ", error.what());
    full_ = true;
  }
  if (threads_.size() >= kMostThreads) full_ = true;
}

Loop::Work Loop::take_work(std::string& parked) {
  MutexLock lock(mutex_);
  ++idle_;
  if (may_end) ++spare_;
  bool trimmed = false;
  while (!stopping_ && parked_.empty() && active_ > 0 && (wanted_ == 0 || active_ >= kPlaces)) {
    trimmed = trimming_ && may_end;
    if (trimmed) break;
    place_.wait(lock);
  }
  --idle_;
  if (may_end) --spare_;
  trimmed_.notify_all();
  if (trimmed) {
    retire();
    return Work::none;
  }
  if (!parked_.empty()) {
    parked = std::move(parked_.front());
    parked_.pop_front();
    return Work::parked;
  }
  if (stopping_) return Work::none;
  if (wanted_ > 0) --wanted_;
  ++active_;
  has_place = true;
  return Work::place;
}

void Loop::retire() {
  for (auto at = threads_.begin(); at != threads_.end(); ++at) {
    if (at->get_id() != std::this_thread::get_id()) continue;
    ended_.splice(ended_.end(), threads_, at);
    return;
  }
}

void Loop::trim() {
  std::list<std::thread> ended;
  {
    MutexLock lock(mutex_);
    trimming_ = true;
    place_.notify_all();
    while (spare_ > 0 && !stopping_) trimmed_.wait(lock);
    trimming_ = false;
    full_ = false;
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

bool Loop::park(const fuse_buf& request) {
  if (!full_) return false;
  MutexLock lock(mutex_);
  if (idle_ > 0) return false;
  const auto* header = static_cast<const fuse_in_header*>(request.mem);
  if (header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET) return false;  // they never wait
  if (header->opcode != FUSE_INTERRUPT) {
    parked_.emplace_back(static_cast<const char*>(request.mem), request.size);
    return true;
  }
  fuse_interrupt_in interrupt{};
  std::memcpy(&interrupt, header + 1, sizeof interrupt);
  for (auto at = parked_.begin(); at != parked_.end(); ++at) {
    fuse_in_header waiting{};
    std::memcpy(&waiting, at->data(), sizeof waiting);
    if (waiting.unique != interrupt.unique) continue;
    parked_.erase(at);
    lock.unlock();
    reply_error(interrupt.unique, EINTR);
    return true;
  }
  return false;
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

void Loop::answer(fuse_buf request) {
  const auto* header = static_cast<const fuse_in_header*>(request.mem);
  if (header->opcode == FUSE_INIT && request.size >= sizeof *header + kInitBytes) {
    fuse_init_in init{};
    std::memcpy(&init, header + 1, kInitBytes);
    context_.offered = init.flags;
  }
  worker().raw = take_raw_flags(request, context_.agreed);
  fuse_session_process_buf(session_, &request);
  context_.interrupted_locks.answer(*context_.vfs);
}

void Loop::reply_error(std::uint64_t unique, int code) {
  const fuse_out_header reply{sizeof(fuse_out_header), -code, unique};
  // ENOENT: it was interrupted; anything else: the connection is gone. Either way nobody waits any more.
  if (::write(fd_, &reply, sizeof reply) < 0) log::debug("loop_refuse: nobody waited for the answer");
}

void Loop::refuse() {
  fuse_buf buffer{};
  while (!closing_) {
    const int got = fuse_session_receive_buf(session_, &buffer);
    if (got == -EAGAIN || got == -EINTR) {
      pollfd fds[2] = {{fd_, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      ::poll(fds, 2, -1);
      continue;
    }
    if (got <= 0) break;
    const auto* header = static_cast<const fuse_in_header*>(buffer.mem);
    const std::uint32_t opcode = header->opcode;
    if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT) continue;
    if (opcode == FUSE_RELEASE) {
      fuse_release_in release{};
      std::memcpy(&release, header + 1, sizeof release);
      const std::unique_ptr<Handle> closed(reinterpret_cast<Handle*>(release.fh));
    }
    reply_error(header->unique, ENOTCONN);
  }
  free(buffer.mem);
}

void Loop::work() {
  Worker worker(context_.state, *this);
  set_worker(&worker);
  fuse_buf buffer{};
  std::string parked;
  for (Work next = take_work(parked); next != Work::none; next = take_work(parked)) {
    if (next == Work::parked) {
      fuse_buf request{};
      request.mem = parked.data();
      request.size = parked.size();
      answer(request);
      continue;
    }
    while (has_place) {
      const Got got = receive(buffer);
      if (got == Got::request) {
        if (!park(buffer)) answer(buffer);
        continue;
      }
      drop_place();
      if (got == Got::end) stop();
    }
  }
  set_worker(nullptr);
  free(buffer.mem);
}

}  // namespace sboxfs::fuse
