// A sandbox as JSON: the same keys in `list` and `info`.
#pragma once

#include <nlohmann/json.hpp>

#include "sboxfs/store/admin.hpp"

namespace sboxfs::cli {

/// What `list` knows.
nlohmann::ordered_json sandbox_json(const SandboxInfo& info);
/// 2026-01-31T12:00:00Z from nanoseconds since 1970.
std::string utc_time(std::int64_t ns);

}  // namespace sboxfs::cli
