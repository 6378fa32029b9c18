#include "sboxfs/base/clock.hpp"

#include <ctime>

namespace sboxfs {
namespace {
std::int64_t read_ns(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<std::int64_t>(now.tv_sec) * kSecondNs + now.tv_nsec;
}
}  // namespace

std::int64_t SystemClock::monotonic_ns() const { return read_ns(CLOCK_MONOTONIC); }
std::int64_t SystemClock::wall_ns() const { return read_ns(CLOCK_REALTIME); }

}  // namespace sboxfs
