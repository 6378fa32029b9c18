#include "ranges.hpp"

#include <algorithm>

namespace sboxfs {

std::uint64_t add_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return 0;
  std::uint64_t added = to - from;
  Range merged{from, to};
  auto first = std::lower_bound(ranges.begin(), ranges.end(), from,
                                [](const Range& range, std::uint64_t value) { return range.to < value; });
  auto last = first;
  for (; last != ranges.end() && last->from <= to; ++last) {
    const std::uint64_t low = std::max(last->from, from);
    const std::uint64_t high = std::min(last->to, to);
    if (low < high) added -= high - low;
    merged.from = std::min(merged.from, last->from);
    merged.to = std::max(merged.to, last->to);
  }
  ranges.insert(ranges.erase(first, last), merged);
  return added;
}

std::uint64_t remove_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to) {
  std::uint64_t removed = 0;
  std::vector<Range> kept;
  for (const Range& range : ranges) {
    const std::uint64_t low = std::max(range.from, from);
    const std::uint64_t high = std::min(range.to, to);
    if (low >= high) {
      kept.push_back(range);
      continue;
    }
    removed += high - low;
    if (range.from < low) kept.push_back({range.from, low});
    if (high < range.to) kept.push_back({high, range.to});
  }
  if (removed > 0) ranges = std::move(kept);
  return removed;
}

bool has_range(const std::vector<Range>& ranges, std::uint64_t at) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return range.from <= at && at < range.to; });
}

}  // namespace sboxfs
