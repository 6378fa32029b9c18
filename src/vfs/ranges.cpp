#include "ranges.hpp"

#include <algorithm>

namespace sboxfs {

namespace {

/// The first range that ends behind `at`.
template <class Iterator>
Iterator first_behind(Iterator begin, Iterator end, std::uint64_t at) {
  return std::upper_bound(begin, end, at, [](std::uint64_t value, const Range& range) { return value < range.to; });
}

}  // namespace

std::uint64_t remove_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return 0;
  const auto first = first_behind(ranges.begin(), ranges.end(), from);
  auto last = first;
  std::uint64_t removed = 0;
  for (; last != ranges.end() && last->from < to; ++last)
    removed += std::min(last->to, to) - std::max(last->from, from);
  if (first == last) return 0;
  std::vector<Range> kept;
  if (first->from < from) kept.push_back({first->from, from});
  if (to < std::prev(last)->to) kept.push_back({to, std::prev(last)->to});
  const auto at = ranges.erase(first, last);
  ranges.insert(at, kept.begin(), kept.end());
  return removed;
}

std::uint64_t bytes_within(const std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to) {
  std::uint64_t bytes = 0;
  for (auto at = first_behind(ranges.begin(), ranges.end(), from); at != ranges.end() && at->from < to; ++at)
    bytes += std::min(at->to, to) - std::max(at->from, from);
  return bytes;
}

bool has_range(const std::vector<Range>& ranges, std::uint64_t at) { return bytes_within(ranges, at, at + 1) > 0; }

std::vector<Range> united(const std::vector<Range>& left, const std::vector<Range>& right) {
  std::vector<Range> sorted(left.size() + right.size());
  std::merge(left.begin(), left.end(), right.begin(), right.end(), sorted.begin(),
             [](const Range& a, const Range& b) { return a.from < b.from; });
  std::vector<Range> out;
  for (const Range& range : sorted) {
    if (out.empty() || out.back().to < range.from) {
      out.push_back(range);
    } else {
      out.back().to = std::max(out.back().to, range.to);
    }
  }
  return out;
}

}  // namespace sboxfs
