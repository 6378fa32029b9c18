// Clocks that stand still until the test moves them.
#pragma once

#include <atomic>
#include <cstdint>

#include "sboxfs/base/clock.hpp"

namespace sboxfs::test {

/// Thread-safe. Both clocks show the same time.
class FakeClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return now_; }
  std::int64_t wall_ns() const override { return now_; }
  void advance(std::int64_t ns) { now_ += ns; }

 private:
  std::atomic<std::int64_t> now_{1'000'000 * kSecondNs};
};

}  // namespace sboxfs::test
