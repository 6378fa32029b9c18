// Time, behind an interface so that tests can move it.
#pragma once

#include <cstdint>

namespace sboxfs {

/// Thread-safe. Source: clock_gettime(2).
class Clock {
 public:
  virtual ~Clock() = default;
  /// CLOCK_MONOTONIC in nanoseconds.
  virtual std::int64_t monotonic_ns() const = 0;
  /// CLOCK_REALTIME in nanoseconds since 1970.
  virtual std::int64_t wall_ns() const = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override;
  std::int64_t wall_ns() const override;
};

constexpr std::int64_t kMillisecondNs = 1'000'000;
constexpr std::int64_t kSecondNs = 1'000'000'000;

}  // namespace sboxfs
