#include "sboxfs/pg/conninfo.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;

TEST_CASE("conninfo: strings and URIs come apart and go together again, quotes included") {
  auto parsed = Conninfo::parse("postgresql://alice:p%27w@db.example/tree?sslmode=require");
  REQUIRE(parsed.ok());
  CHECK(parsed->get("user") == "alice");
  CHECK(parsed->get("password") == "p'w");
  CHECK(parsed->get("sslmode") == "require");
  parsed->set("user", "b\\ob");
  parsed->erase("password");
  const auto again = Conninfo::parse(parsed->text());
  REQUIRE(again.ok());
  CHECK(again->get("user") == "b\\ob");
  CHECK(again->get("dbname") == "tree");
  CHECK(again->get("password").empty());
}

TEST_CASE("conninfo: the message about a broken string does not repeat it") {
  const auto parsed = Conninfo::parse("password=secret hunter2");
  REQUIRE(parsed.code() == EINVAL);
  CHECK(parsed.error().what.find("hunter2") == std::string::npos);
  CHECK(parsed.error().what.find("secret") == std::string::npos);
}

TEST_CASE("conninfo: a password becomes a SCRAM verifier, not itself") {
  const auto verifier = scram_verifier("role", "hunter2");
  REQUIRE(verifier.ok());
  CHECK(verifier->substr(0, 14) == "SCRAM-SHA-256$");
  CHECK(verifier->find("hunter2") == std::string::npos);
}
