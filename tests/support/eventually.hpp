// Waiting for what another thread is about to do.
#pragma once

#include <chrono>
#include <thread>

namespace sboxfs::test {

/// Whether `condition` becomes true within ten seconds. It is looked at every millisecond.
template <class Condition>
bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace sboxfs::test
