#include "sboxfs/tree/interval_set.hpp"

#include <iterator>
#include <limits>

namespace sboxfs {
namespace {
constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
}

void IntervalSet::add(std::uint64_t from, std::uint64_t to) {
  auto next = intervals_.upper_bound(from);
  if (next != intervals_.begin()) {
    const auto before = std::prev(next);
    if (before->second >= from || before->second + 1 == from) {
      from = before->first;
      if (before->second > to) to = before->second;
      next = intervals_.erase(before);
    }
  }
  while (next != intervals_.end() && (to == kMax || next->first <= to + 1)) {
    if (next->second > to) to = next->second;
    next = intervals_.erase(next);
  }
  intervals_.emplace(from, to);
}

void IntervalSet::remove(std::uint64_t from, std::uint64_t to) {
  auto at = intervals_.upper_bound(from);
  if (at != intervals_.begin()) --at;
  while (at != intervals_.end() && at->first <= to) {
    const auto [first, last] = *at;
    if (last < from) {
      ++at;
      continue;
    }
    at = intervals_.erase(at);
    if (first < from) intervals_.emplace(first, from - 1);
    if (last > to) at = intervals_.emplace(to + 1, last).first;
  }
}

bool IntervalSet::covers(std::uint64_t from, std::uint64_t to) const {
  auto at = intervals_.upper_bound(from);
  if (at == intervals_.begin()) return false;
  return std::prev(at)->second >= to;
}

std::optional<std::uint64_t> IntervalSet::first_gap(std::uint64_t from) const {
  auto at = intervals_.upper_bound(from);
  if (at == intervals_.begin()) return from;
  const std::uint64_t last = std::prev(at)->second;
  if (last < from) return from;
  if (last == kMax) return std::nullopt;
  return last + 1;
}

}  // namespace sboxfs
