#include "sboxfs/tree/interval_set.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <set>

using sboxfs::IntervalSet;

TEST_CASE("interval set: neighbours are merged and gaps found") {
  IntervalSet set;
  set.add(10, 19);
  set.add(30, 39);
  CHECK(set.first_gap(10) == 20);
  CHECK(set.first_gap(5) == 5);
  set.add(20, 29);
  CHECK(set.covers(10, 39));
  CHECK_FALSE(set.covers(10, 40));
  set.remove(15, 15);
  CHECK(set.first_gap(10) == 15);
  CHECK(set.covers(16, 39));
}

TEST_CASE("interval set: the largest number is a bound like any other") {
  const auto max = std::numeric_limits<std::uint64_t>::max();
  IntervalSet set;
  set.add(5, max);
  CHECK(set.covers(5, max));
  CHECK_FALSE(set.first_gap(7).has_value());
  set.remove(max, max);
  CHECK(set.first_gap(7) == max);
}

TEST_CASE("interval set: random adds and removes agree with a set of numbers") {
  std::mt19937 random(7);
  IntervalSet set;
  std::set<std::uint64_t> model;
  for (int step = 0; step < 4000; ++step) {
    const std::uint64_t from = random() % 64;
    const std::uint64_t to = from + random() % 8;
    const bool add = random() % 2 == 0;
    if (add) {
      set.add(from, to);
    } else {
      set.remove(from, to);
    }
    for (std::uint64_t at = from; at <= to; ++at) {
      if (add) {
        model.insert(at);
      } else {
        model.erase(at);
      }
    }
    for (std::uint64_t at = 0; at < 80; ++at) REQUIRE(set.contains(at) == (model.count(at) > 0));
  }
}
