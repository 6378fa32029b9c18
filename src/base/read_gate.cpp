#include "sboxfs/base/read_gate.hpp"

#include <thread>

namespace sboxfs {

unsigned ReadGate::enter() {
  for (;;) {
    const unsigned phase = phase_.load();
    active_[phase].fetch_add(1);
    // Without the second look a section could count itself in a phase that synchronize() has already seen empty.
    if (phase_.load() == phase) return phase;
    active_[phase].fetch_sub(1);
  }
}

void ReadGate::leave(unsigned ticket) { active_[ticket].fetch_sub(1); }

void ReadGate::synchronize() {
  MutexLock one_at_a_time(synchronizing_);
  const unsigned old = phase_.load();
  phase_.store(old ^ 1U);
  while (active_[old].load() != 0) std::this_thread::yield();
}

}  // namespace sboxfs
