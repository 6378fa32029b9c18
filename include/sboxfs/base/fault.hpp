// Named fault points: where a test can make the process die, stall or fail on purpose.
// SBOXFS_FAULT="point=kill", "point=stall:500" (ms), "point=fail", each optionally "@N" (only the Nth pass); several by
// comma.
#pragma once

#include <string_view>

namespace sboxfs::fault {

/// Passes the point `name`: kills or stalls the process if the environment says so; true when it shall fail.
/// Costs one relaxed load when no fault is configured.
bool point(std::string_view name);

}  // namespace sboxfs::fault
