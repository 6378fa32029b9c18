// A set of 64-bit numbers as disjoint closed intervals: which part of a directory or file is loaded.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace sboxfs {

/// Not thread-safe. All bounds are inclusive.
class IntervalSet {
 public:
  void add(std::uint64_t from, std::uint64_t to);
  void remove(std::uint64_t from, std::uint64_t to);
  bool contains(std::uint64_t at) const { return covers(at, at); }
  bool covers(std::uint64_t from, std::uint64_t to) const;
  /// The smallest number >= from that is not in the set; nothing when all of them are.
  std::optional<std::uint64_t> first_gap(std::uint64_t from) const;
  void clear() { intervals_.clear(); }
  bool empty() const { return intervals_.empty(); }

 private:
  std::map<std::uint64_t, std::uint64_t> intervals_;  // from -> to; neighbours are merged
};

}  // namespace sboxfs
