#include "sboxfs/model/lock.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace sboxfs;

namespace {
using Ranges = std::vector<LockRange>;
constexpr LockRange bytes(std::uint64_t start, std::uint64_t stop, bool exclusive = true) {
  return {start, stop, exclusive, 7};
}
}  // namespace

TEST_CASE("lock ranges: unlocking the middle splits, locking it again joins") {
  const Ranges whole{bytes(0, 99)};
  const Ranges split = lock_ranges_after(whole, bytes(40, 59), LockType::none);
  CHECK(split == Ranges{bytes(0, 39), bytes(60, 99)});
  CHECK(lock_ranges_after(split, bytes(40, 59), LockType::exclusive) == whole);
  CHECK(lock_ranges_after(whole, bytes(0, kLockEnd), LockType::none).empty());
}

TEST_CASE("lock ranges: a change of type replaces what it covers and nothing else") {
  const Ranges shared = lock_ranges_after({bytes(0, 99)}, bytes(10, 19), LockType::shared);
  CHECK(shared == Ranges{bytes(0, 9), bytes(10, 19, false), bytes(20, 99)});
  CHECK(lock_ranges_after(shared, bytes(0, kLockEnd), LockType::exclusive) == Ranges{bytes(0, kLockEnd)});
}

TEST_CASE("lock ranges: another process's range stays a range of its own") {
  LockRange other = bytes(10, 19);
  other.pid = 8;
  CHECK(lock_ranges_after({bytes(0, 9)}, other, LockType::exclusive) == Ranges{bytes(0, 9), other});
}

TEST_CASE("lock ranges: byte for byte as a plain array, for random changes") {
  constexpr int kBytes = 24, kSteps = 4000;
  std::mt19937 random(1);
  std::vector<int> model(kBytes, 0);
  Ranges held;
  for (int step = 0; step < kSteps; ++step) {
    const auto start = random() % kBytes;
    const auto stop = start + random() % (kBytes - start);
    const auto type = static_cast<LockType>(random() % 3);
    const std::vector<int> before = model;
    const Ranges after = lock_ranges_after(held, bytes(start, stop), type);
    for (auto i = start; i <= stop; ++i) model[i] = static_cast<int>(type);
    std::vector<int> seen(kBytes, 0);
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (i > 0) REQUIRE(after[i].start > after[i - 1].stop);
      for (auto at = after[i].start; at <= after[i].stop; ++at) seen.at(at) = after[i].exclusive ? 2 : 1;
    }
    REQUIRE(seen == model);
    bool weaker = false;
    for (int i = 0; i < kBytes; ++i) weaker = weaker || (before[i] == 2 && model[i] != 2);
    REQUIRE(lock_weakened(held, after) == weaker);
    held = after;
  }
  MESSAGE(kSteps, " changes of ", kBytes, " bytes");
}
