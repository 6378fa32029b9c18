#include "sboxfs/base/text.hpp"

#include <doctest/doctest.h>

TEST_CASE("text: cat joins strings, numbers, characters and truth values") {
  CHECK(sboxfs::cat("a ", 12, ' ', true, std::string("z"), -3) == "a 12 truez-3");
}

TEST_CASE("text: to_hex writes every byte as two digits") {
  CHECK(sboxfs::to_hex(std::string("\x00\xff\x1a", 3)) == "00ff1a");
}
