#include <doctest/doctest.h>

#include "sboxfs/content/cache.hpp"

using namespace sboxfs;

TEST_CASE("patches: laid over the blob in order, beyond its end after zeros") {
  CHECK(apply_patches("abcdef", {}) == "abcdef");
  CHECK(apply_patches("abcdef", {{7, 1, "XY"}, {8, 2, "Z"}}) == "aXZdef");
  CHECK(apply_patches("ab", {{7, 4, "XY"}}) == std::string("ab\0\0XY", 6));
  CHECK(apply_patches("", {{7, 0, "X"}}) == "X");
}

TEST_CASE("content key: of a blob alone its own hash; with patches one for each different contents") {
  const Hash blob = sha256("blob");
  CHECK(content_key(blob, {}) == blob);
  const Hash one = content_key(blob, {{7, 1, "X"}});
  CHECK(one != blob);
  CHECK(one != content_key(sha256("other"), {{7, 1, "X"}}));
  CHECK(one != content_key(blob, {{7, 2, "X"}}));
  CHECK(one != content_key(blob, {{7, 1, "X"}, {8, 1, "Y"}}));
  CHECK(content_key(blob, {{7, 1, "X"}, {8, 2, "Y"}}) != content_key(blob, {{7, 1, "XY"}}));
}

TEST_CASE("content key: the same version can hold other bytes in another sandbox, or after a restore") {
  const Hash blob = sha256("blob");
  CHECK(content_key(blob, {{7, 1, "X"}}) != content_key(blob, {{7, 1, "Y"}}));
  CHECK(content_key(blob, {{7, 1, "X"}}) == content_key(blob, {{9, 1, "X"}}));
}
