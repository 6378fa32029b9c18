// The steps from an empty database to the schema this program knows.
#pragma once

#include <string>
#include <vector>

namespace sboxfs::schema {

/// The version this program reads and writes: the number of steps.
constexpr int kVersion = 2;

/// Step N (from 0) brings version N to N + 1. Each is a script, run as sboxfs_owner.
const std::vector<std::string>& migrations();

}  // namespace sboxfs::schema
