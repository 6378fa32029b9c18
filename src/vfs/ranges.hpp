// Sorted lists of disjoint byte ranges.
#pragma once

#include <cstdint>
#include <vector>

#include "sboxfs/model/attr.hpp"

namespace sboxfs {

/// Removes [from, to); returns how many bytes were in the list.
std::uint64_t remove_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to);
/// How many bytes of [from, to) are in the list.
std::uint64_t bytes_within(const std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to);
/// Whether the list holds the byte `at`.
bool has_range(const std::vector<Range>& ranges, std::uint64_t at);
/// What is in either list, neighbours joined.
std::vector<Range> united(const std::vector<Range>& left, const std::vector<Range>& right);

}  // namespace sboxfs
