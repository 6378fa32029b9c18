#include "sboxfs/model/delta.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;

namespace {
Delta sample() {
  Delta delta;
  delta.names.push_back({1, "a"});
  delta.names.push_back({300, std::string("\0\xff /", 4)});
  delta.inodes.push_back({5, kChangedAttr | kChangedData, {{0, 4096}, {1ULL << 39, (1ULL << 39) + 1}}});
  return delta;
}
}  // namespace

TEST_CASE("delta: a body decodes to what was encoded") { CHECK(*decode_delta(encode_delta(sample())) == sample()); }

TEST_CASE("delta: a body cut short anywhere is refused, not read beyond") {
  const std::string body = encode_delta(sample());
  for (std::size_t size = 0; size < body.size(); ++size) CHECK(decode_delta(body.substr(0, size)).code() == EBADMSG);
  CHECK(decode_delta(body + "x").code() == EBADMSG);
}

TEST_CASE("delta: a count larger than the body allocates nothing and is refused") {
  CHECK(decode_delta(std::string("\x01\xff\xff\xff\xff\x7f", 6)).code() == EBADMSG);
}
