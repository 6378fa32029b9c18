#include "sboxfs/cli/parse.hpp"

#include <array>
#include <charconv>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs::cli {
namespace {

constexpr std::size_t kLongestName = 128;

bool is_alphanumeric(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/// The digits at the start; `rest` is what follows them.
Result<std::uint64_t> leading_number(std::string_view text, std::string_view& rest) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return fail(EINVAL, cat("'", text, "' is not a number"));
  rest = text.substr(static_cast<std::size_t>(end - text.data()));
  return number;
}

Result<std::uint64_t> scaled(std::string_view text, std::uint64_t step) {
  std::string_view rest;
  SBOXFS_ASSIGN(std::uint64_t number, leading_number(text, rest));
  if (rest.empty()) return number;
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t power = rest.size() == 1 ? kUnits.find(rest[0]) : std::string_view::npos;
  if (power == std::string_view::npos) return fail(EINVAL, cat("'", text, "': the unit is K, M, G or T"));
  for (std::size_t i = 0; i <= power; ++i) {
    if (number > UINT64_MAX / step) return fail(EINVAL, cat("'", text, "' is too large"));
    number *= step;
  }
  return number;
}

}  // namespace

Status check_sandbox_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || !is_alphanumeric(name.front())) {
    return fail(EINVAL, "a name has 1 to 128 characters and begins with a letter or digit");
  }
  for (const char c : name) {
    if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-') {
      return fail(EINVAL, "a name consists of letters, digits and . _ -");
    }
  }
  if (Uuid::parse(name).ok()) return fail(EINVAL, "a name must not look like an id (a UUID)");
  return {};
}

Result<std::uint64_t> parse_size(std::string_view text) { return scaled(text, 1024); }
Result<std::uint64_t> parse_count(std::string_view text) { return scaled(text, 1000); }

Result<std::int64_t> parse_duration(std::string_view text) {
  std::string_view unit;
  SBOXFS_ASSIGN(const std::uint64_t number, leading_number(text, unit));
  std::int64_t factor = 0;
  if (unit == "ms") factor = kMillisecondNs;
  if (unit == "s") factor = kSecondNs;
  if (unit == "m") factor = 60 * kSecondNs;
  if (unit == "h") factor = 3600 * kSecondNs;
  if (unit.empty() && number == 0) return std::int64_t{0};
  if (factor == 0) return fail(EINVAL, cat("'", text, "': a time has a unit: ms, s, m or h"));
  if (number > static_cast<std::uint64_t>(INT64_MAX / factor)) return fail(EINVAL, cat("'", text, "' is too long"));
  return static_cast<std::int64_t>(number) * factor;
}

std::string human_size(std::uint64_t bytes) {
  constexpr std::array kUnits = {"", "K", "M", "G", "T", "P"};
  std::size_t unit = 0;
  std::uint64_t tenths = bytes * 10;
  while (tenths >= 10240 && unit + 1 < kUnits.size()) {
    tenths /= 1024;
    ++unit;
  }
  if (unit == 0 || tenths >= 1000) return cat(tenths / 10, kUnits[unit]);
  return cat(tenths / 10, ".", tenths % 10, kUnits[unit]);
}

}  // namespace sboxfs::cli
