#include "sboxfs/cli/parse.hpp"

#include <doctest/doctest.h>

#include "sboxfs/base/clock.hpp"

using namespace sboxfs;
using namespace sboxfs::cli;

TEST_CASE("names: letters, digits, dot, underscore and hyphen, 1 to 128 of them, beginning with a letter or digit") {
  CHECK(check_sandbox_name("a").ok());
  CHECK(check_sandbox_name("0build.tree_2-x").ok());
  CHECK(check_sandbox_name(std::string(128, 'x')).ok());
  for (const char* bad : {"", ".hidden", "-x", "_x", "a b", "a/b", "a\n", "\xc3\xa4"}) {
    CAPTURE(bad);
    CHECK(check_sandbox_name(bad).code() == EINVAL);
  }
  CHECK(check_sandbox_name(std::string(129, 'x')).code() == EINVAL);
  CHECK(check_sandbox_name("0f8fad5b-d9cb-469f-a165-70867728950e").code() == EINVAL);
  CHECK(check_sandbox_name("0F8FAD5B-D9CB-469F-A165-70867728950E").code() == EINVAL);
}

TEST_CASE("sizes: powers of 1024; counts: powers of 1000; what does not fit is refused") {
  CHECK(*parse_size("0") == 0);
  CHECK(*parse_size("4096") == 4096);
  CHECK(*parse_size("64M") == 64ULL << 20);
  CHECK(*parse_size("2T") == 2ULL << 40);
  CHECK(*parse_count("3K") == 3000);
  for (const char* bad : {"", "M", "-1", "1.5G", "1MB", "1m", "99999999999999999999", "99999999999T"}) {
    CAPTURE(bad);
    CHECK(parse_size(bad).code() == EINVAL);
  }
}

TEST_CASE("times: a number with its unit; only 0 needs none") {
  CHECK(*parse_duration("0") == 0);
  CHECK(*parse_duration("250ms") == 250 * kMillisecondNs);
  CHECK(*parse_duration("10s") == 10 * kSecondNs);
  CHECK(*parse_duration("2m") == 120 * kSecondNs);
  CHECK(*parse_duration("1h") == 3600 * kSecondNs);
  for (const char* bad : {"", "10", "s", "-1s", "1d", "9999999999999h"}) {
    CAPTURE(bad);
    CHECK(parse_duration(bad).code() == EINVAL);
  }
}

TEST_CASE("sizes for people: one decimal below a hundred") {
  CHECK(human_size(0) == "0");
  CHECK(human_size(1023) == "1023");
  CHECK(human_size(1536) == "1.5K");
  CHECK(human_size(200ULL << 20) == "200M");
}
