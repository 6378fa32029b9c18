// Sorted lists of disjoint byte ranges.
#pragma once

#include <cstdint>
#include <vector>

#include "sboxfs/model/attr.hpp"

namespace sboxfs {

/// Adds [from, to); returns how many bytes were not in the list before.
std::uint64_t add_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to);
/// Removes [from, to); returns how many bytes were in the list.
std::uint64_t remove_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to);
/// Whether the list holds the byte `at`.
bool has_range(const std::vector<Range>& ranges, std::uint64_t at);

}  // namespace sboxfs
