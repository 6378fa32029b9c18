#include "sboxfs/content/cache.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;

namespace {

Hash key(int number) { return sha256(std::to_string(number)); }

Bytes bytes(std::size_t size) { return std::make_shared<const std::string>(size, 'x'); }

/// What one item of `size` bytes counts.
std::uint64_t cost(std::size_t size) {
  ContentCache cache(1 << 20);
  cache.put(key(0), bytes(size));
  return cache.bytes();
}

}  // namespace

TEST_CASE("content cache: what was put is there, nothing else is") {
  ContentCache cache(1 << 20);
  cache.put(key(1), std::make_shared<const std::string>("one"));
  REQUIRE(cache.get(key(1)) != nullptr);
  CHECK(*cache.get(key(1)) == "one");
  CHECK(cache.get(key(2)) == nullptr);
}

TEST_CASE("content cache: least recently used goes first") {
  ContentCache cache(3 * cost(1000));
  for (int i = 1; i <= 3; ++i) cache.put(key(i), bytes(1000));
  CHECK(cache.get(key(1)) != nullptr);
  cache.put(key(2), bytes(1000));  // known already: only used again
  cache.put(key(4), bytes(1000));
  CHECK(cache.get(key(3)) == nullptr);
  CHECK(cache.get(key(1)) != nullptr);
  CHECK(cache.get(key(2)) != nullptr);
  CHECK(cache.get(key(4)) != nullptr);
  CHECK(cache.bytes() == 3 * cost(1000));
}

TEST_CASE("content cache: many small items do not take more memory than the limit") {
  ContentCache cache(100'000);
  for (int i = 0; i < 10'000; ++i) cache.put(key(i), bytes(1));
  CHECK(cache.bytes() <= 100'000);
  int kept = 0;
  for (int i = 0; i < 10'000; ++i)
    if (cache.get(key(i))) ++kept;
  CHECK(kept > 0);
  CHECK(kept < 1000);  // an item takes more than a hundred bytes, whatever it holds
}

TEST_CASE("content cache: an item above the limit stays until the next one comes, and readers keep what they hold") {
  ContentCache cache(1000);
  cache.put(key(1), bytes(5000));
  const Bytes held = cache.get(key(1));
  REQUIRE(held != nullptr);
  cache.put(key(2), bytes(10));
  CHECK(cache.get(key(1)) == nullptr);
  CHECK(cache.get(key(2)) != nullptr);
  CHECK(held->size() == 5000);
}

TEST_CASE("content cache: cleared, it holds nothing and counts nothing") {
  ContentCache cache(1 << 20);
  cache.put(key(1), bytes(10));
  cache.clear();
  CHECK(cache.get(key(1)) == nullptr);
  CHECK(cache.bytes() == 0);
  cache.put(key(1), bytes(10));
  CHECK(cache.bytes() == cost(10));
}
