#include "wait.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/clock.hpp"

namespace sboxfs::pg_detail {

std::int64_t now_ns() { return SystemClock().monotonic_ns(); }

Wait wait_for(int fd, short events, std::int64_t deadline_ns) {
  constexpr std::int64_t kSliceMs = 20;
  for (;;) {
    const std::int64_t left_ms = (deadline_ns - now_ns() + kMillisecondNs - 1) / kMillisecondNs;
    pollfd entry{fd, events, 0};
    // An error of poll other than EINTR can only be a bad descriptor: libpq finds that out itself.
    const int ready = poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left_ms, 0, kSliceMs)));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return Wait::ready;
    if (BlockingSection::interrupted()) return Wait::interrupted;
    if (left_ms <= 0) return Wait::timed_out;
  }
}

}  // namespace sboxfs::pg_detail
