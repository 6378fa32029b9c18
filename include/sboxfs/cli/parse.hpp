// Names, sizes and times as people type them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs::cli {

/// A name for a new sandbox: [A-Za-z0-9][A-Za-z0-9._-]{0,127}, not shaped like a UUID. EINVAL says what is wrong.
Status check_sandbox_name(std::string_view name);
/// "64M": bytes with an optional K, M, G or T (powers of 1024). EINVAL.
Result<std::uint64_t> parse_size(std::string_view text);
/// A count: digits with an optional K, M, G (powers of 1000). EINVAL.
Result<std::uint64_t> parse_count(std::string_view text);
/// "10s", "500ms", "2m", "1h", "0"; nanoseconds. EINVAL.
Result<std::int64_t> parse_duration(std::string_view text);
/// 1536 → "1.5K".
std::string human_size(std::uint64_t bytes);

}  // namespace sboxfs::cli
