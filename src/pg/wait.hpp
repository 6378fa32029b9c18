// Waiting for a socket in slices.
#pragma once

#include <cstdint>

namespace sboxfs::pg_detail {

enum class Wait { ready, timed_out, interrupted };

/// Waits until `fd` has one of `events` (poll(2)), until `deadline_ns` (CLOCK_MONOTONIC), or until the calling
/// request is interrupted; looks for the latter at least every 20 ms.
Wait wait_for(int fd, short events, std::int64_t deadline_ns);

std::int64_t now_ns();

}  // namespace sboxfs::pg_detail
