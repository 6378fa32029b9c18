#include "sboxfs/journal/recent.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;

TEST_CASE("recent: it knows a span only when every version of it is there") {
  Recent recent;
  CHECK(recent.knows(5, 5));
  CHECK_FALSE(recent.knows(4, 5));
  Delta delta;
  delta.inodes.push_back({7, kChangedAttr, {}});
  recent.add(5, delta);
  recent.add(6, {});
  CHECK(recent.knows(4, 6));
  CHECK_FALSE(recent.knows(3, 6));
  CHECK_FALSE(recent.knows(4, 7));
  CHECK(recent.changed_inode(4, 7));
  CHECK_FALSE(recent.changed_inode(5, 7));
}

TEST_CASE("recent: a gap forgets what was before it") {
  Recent recent;
  recent.add(5, {});
  recent.add(8, {});
  CHECK(recent.knows(7, 8));
  CHECK_FALSE(recent.knows(4, 8));
}

TEST_CASE("recent: it stays bounded, the newest are kept") {
  Recent recent;
  for (Version version = 1; version <= 10'000; ++version) recent.add(version, {});
  CHECK(recent.knows(9'999, 10'000));
  CHECK_FALSE(recent.knows(1, 10'000));
}
