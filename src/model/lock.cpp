#include "sboxfs/model/lock.hpp"

#include <algorithm>

namespace sboxfs {

std::vector<LockRange> lock_ranges_after(const std::vector<LockRange>& before, const LockRange& change, LockType type) {
  std::vector<LockRange> out;
  for (const LockRange& held : before) {
    if (held.stop < change.start || held.start > change.stop) {
      out.push_back(held);
      continue;
    }
    LockRange rest = held;
    if (held.start < change.start) {
      rest.stop = change.start - 1;
      out.push_back(rest);
    }
    if (held.stop > change.stop) {
      rest = held;
      rest.start = change.stop + 1;
      out.push_back(rest);
    }
  }
  if (type != LockType::none) out.push_back({change.start, change.stop, type == LockType::exclusive, change.pid});
  std::sort(out.begin(), out.end(), [](const LockRange& a, const LockRange& b) { return a.start < b.start; });
  std::size_t last = 0;
  for (std::size_t i = 1; i < out.size(); ++i) {
    LockRange& left = out[last];
    if (left.stop + 1 == out[i].start && left.exclusive == out[i].exclusive && left.pid == out[i].pid) {
      left.stop = out[i].stop;
    } else {
      out[++last] = out[i];
    }
  }
  if (!out.empty()) out.resize(last + 1);
  return out;
}

bool lock_weakened(const std::vector<LockRange>& before, const std::vector<LockRange>& after) {
  return std::any_of(before.begin(), before.end(), [&](const LockRange& held) {
    if (!held.exclusive) return false;
    std::uint64_t from = held.start;
    for (const LockRange& kept : after) {
      if (!kept.exclusive || kept.stop < from || kept.start > held.stop) continue;
      if (kept.start > from) return true;
      if (kept.stop >= held.stop) return false;
      from = kept.stop + 1;
    }
    return true;
  });
}

}  // namespace sboxfs
