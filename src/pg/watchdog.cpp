#include "watchdog.hpp"

#include <sys/socket.h>

#include <chrono>

#include "wait.hpp"

namespace sboxfs::pg_detail {

Watchdog::Watchdog() : thread_([this] { loop(); }) {}

Watchdog::~Watchdog() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Watchdog::arm(int socket, std::int64_t deadline_ns) {
  MutexLock lock(mutex_);
  socket_ = socket;
  deadline_ns_ = deadline_ns;
  changed_.notify_all();
}

void Watchdog::disarm() {
  MutexLock lock(mutex_);
  socket_ = -1;
}

void Watchdog::loop() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    if (socket_ < 0) {
      changed_.wait(lock);
      continue;
    }
    const std::int64_t left_ns = deadline_ns_ - now_ns();
    if (left_ns > 0) {
      changed_.wait_for(lock, std::chrono::nanoseconds(left_ns));
      continue;
    }
    // The call that armed us is still inside: the descriptor is open. A failure means that it is closed already.
    shutdown(socket_, SHUT_RDWR);
    socket_ = -1;
  }
}

}  // namespace sboxfs::pg_detail
