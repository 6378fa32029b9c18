// The read-side section around "compute a reply that the kernel may cache, and send it".
// The watcher applies a delta to memory, calls synchronize(), and only then notifies the kernel: no reply computed
// from the old state can be sent after that. The idea is RCU's grace period (McKenney, "RCU Usage In the Linux
// Kernel").
#pragma once

#include <atomic>
#include <cstdint>

#include "sboxfs/base/mutex.hpp"

namespace sboxfs {

/// Thread-safe. enter/leave are lock-free; sections hold no I/O, so synchronize() is short.
class ReadGate {
 public:
  /// Enters a section and returns its ticket, to be given back to leave().
  unsigned enter();
  void leave(unsigned ticket);
  /// Returns when every section that was open at the call has been left. Never call it from inside a section.
  void synchronize();

 private:
  std::atomic<unsigned> phase_{0};
  std::atomic<std::uint64_t> active_[2] = {0, 0};
  Mutex synchronizing_;
};

}  // namespace sboxfs
