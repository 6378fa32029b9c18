#include <doctest/doctest.h>

#include <algorithm>

#include "redis_fixture.hpp"
#include "sboxfs/redis/bus.hpp"

using namespace sboxfs;
using test::RedisFixture;

namespace {

/// Patient, so that a busy machine is not taken for a hung Redis.
RedisOptions patient(const RedisFixture& redis) {
  RedisOptions options = *parse_redis_url(redis.url());
  options.call_timeout_ns = 5 * kSecondNs;
  return options;
}

struct Keys {
  RedisFixture redis;
  SandboxId id = Uuid::random();
  RedisKeys keys{patient(redis), "acme"};
  std::string key = version_key("acme", id);

  std::string raw() { return redis.command({"GET", key}); }
};

}  // namespace

TEST_CASE("redis keys: the names say tenant and sandbox") {
  const SandboxId id = Uuid::random();
  CHECK(version_key("acme", id) == "vfs:acme:ver:" + id.text());
  CHECK(news_channel("acme", id) == "vfs:acme:news:" + id.text());
}

TEST_CASE("redis keys: publish sets the greater version, any number of times") {
  Keys t;
  CHECK(*t.keys.publish(t.id, 5, "m") == 5);
  CHECK(*t.keys.publish(t.id, 5, "m") == 5);
  CHECK(t.raw() == "5");
  CHECK(*t.keys.publish(t.id, 3, "m") == 5);
  CHECK(t.raw() == "5");
  CHECK(*t.keys.publish(t.id, 10, "m") == 10);  // as numbers: as text 10 is below 9 and 5
  CHECK(*t.keys.publish(t.id, 9, "m") == 10);
  CHECK(t.raw() == "10");
  // Beyond what a double can tell apart.
  const Version large = (Version{1} << 53) + 1;
  CHECK(*t.keys.publish(t.id, large, "m") == large);
  CHECK(*t.keys.publish(t.id, large - 1, "m") == large);
  CHECK(*t.keys.publish(t.id, large + 1, "m") == large + 1);
  CHECK(**t.keys.published(t.id) == large + 1);
}

TEST_CASE("redis keys: sandboxes of one tenant and tenants do not touch each other") {
  Keys t;
  RedisKeys others(patient(t.redis), "umbrella");
  const SandboxId other = Uuid::random();
  REQUIRE(t.keys.publish(t.id, 5, "m").ok());
  REQUIRE(t.keys.publish(other, 7, "m").ok());
  REQUIRE(others.publish(t.id, 9, "m").ok());
  CHECK(**t.keys.published(t.id) == 5);
  CHECK(**t.keys.published(other) == 7);
  CHECK(**others.published(t.id) == 9);
}

TEST_CASE("redis keys: publish repairs a key that is no version") {
  Keys t;
  CHECK(*t.keys.published(t.id) == std::nullopt);
  for (const char* value :
       {"abc", "", "-7", "7x", " 7", "007", "1e9", "0", "9223372036854775808", "99999999999999999999999"}) {
    CAPTURE(value);
    t.redis.command({"SET", t.key, value});
    const Result<std::optional<Version>> before = t.keys.published(t.id);
    REQUIRE(before.ok());
    CHECK(*before == std::nullopt);
    CHECK(*t.keys.publish(t.id, 4, "m") == 4);
    CHECK(t.raw() == "4");
  }
  for (const std::vector<std::string>& make :
       {std::vector<std::string>{"RPUSH", t.key, "8"}, {"HSET", t.key, "8", "8"}}) {
    CAPTURE(make[0]);
    t.redis.command({"DEL", t.key});
    REQUIRE(t.redis.command(make) == "1");
    const Result<std::optional<Version>> before = t.keys.published(t.id);
    REQUIRE(before.ok());
    CHECK(*before == std::nullopt);
    CHECK(*t.keys.publish(t.id, 4, "m") == 4);
    CHECK(t.raw() == "4");
  }
}

TEST_CASE("redis keys: a script that Redis forgot is sent again") {
  Keys t;
  REQUIRE(t.keys.publish(t.id, 5, "m").ok());
  REQUIRE(t.redis.command({"SCRIPT", "FLUSH", "SYNC"}) == "OK");
  CHECK(*t.keys.publish(t.id, 6, "m") == 6);
  REQUIRE(t.redis.command({"SCRIPT", "FLUSH", "SYNC"}) == "OK");
  REQUIRE(t.keys.lower(t.id, 6, 2).ok());
  CHECK(t.raw() == "2");
}

TEST_CASE("redis keys: the script is sent by name once Redis has it") {
  Keys t;
  for (Version version = 1; version <= 20; ++version) REQUIRE(t.keys.publish(t.id, version, "m").ok());
  const std::string stats = t.redis.command({"INFO", "commandstats"});
  CHECK(stats.find("cmdstat_eval:calls=1,") != std::string::npos);
  CHECK(stats.find("cmdstat_evalsha:calls=20,") != std::string::npos);
}

TEST_CASE("redis keys: lower changes the key only from the value it was seen with") {
  Keys t;
  t.redis.command({"SET", t.key, "9"});
  REQUIRE(t.keys.lower(t.id, 8, 3).ok());
  CHECK(t.raw() == "9");
  REQUIRE(t.keys.lower(t.id, 9, 3).ok());
  CHECK(t.raw() == "3");
  REQUIRE(t.keys.erase(t.id).ok());
  REQUIRE(t.keys.lower(t.id, 3, 2).ok());
  CHECK(t.raw() == "(nil)");
  t.redis.command({"RPUSH", t.key, "3"});
  CHECK(t.keys.lower(t.id, 3, 2).ok());
  CHECK(t.redis.command({"TYPE", t.key}) == "list");
}

TEST_CASE("redis keys: erase deletes the key, also when there is none or a list") {
  Keys t;
  REQUIRE(t.keys.publish(t.id, 5, "m").ok());
  REQUIRE(t.keys.erase(t.id).ok());
  CHECK(t.raw() == "(nil)");
  CHECK(t.keys.erase(t.id).ok());
  t.redis.command({"RPUSH", t.key, "3"});
  CHECK(t.keys.erase(t.id).ok());
  CHECK(t.redis.command({"EXISTS", t.key}) == "0");
}

TEST_CASE("redis keys: a Redis without memory answers EIO and keeps its connection") {
  Keys t;
  REQUIRE(t.keys.publish(t.id, 5, "m").ok());
  REQUIRE(t.redis.command({"CONFIG", "SET", "maxmemory", "1"}) == "OK");
  const Result<Version> full = t.keys.publish(t.id, 6, "m");
  CHECK(full.code() == EIO);
  CHECK(full.error().what.find("OOM") != std::string::npos);
  CHECK(t.keys.lower(t.id, 5, 4).code() == EIO);
  // What needs no memory goes on at once.
  CHECK(t.keys.announce(t.id, "m").ok());
  CHECK(**t.keys.published(t.id) == 5);
  CHECK(*t.keys.publish(t.id, 5, "m") == 5);
  REQUIRE(t.redis.command({"CONFIG", "SET", "maxmemory", "0"}) == "OK");
  CHECK(*t.keys.publish(t.id, 6, "m") == 6);
}

TEST_CASE("redis keys: the database of the address is used") {
  RedisFixture redis;
  RedisOptions options = patient(redis);
  options.database = 3;
  RedisKeys keys(options, "acme");
  REQUIRE(keys.publish(Uuid::random(), 5, "m").ok());
  CHECK(redis.command({"INFO", "keyspace"}).find("db3:keys=1,") != std::string::npos);
}

TEST_CASE("redis keys: disconnected, there is no connection until the next call") {
  Keys t;
  const auto clients = [&] { return t.redis.command({"CLIENT", "LIST"}); };
  const auto lines = [&] {
    const std::string list = clients();
    return std::count(list.begin(), list.end(), '\n') + (list.empty() || list.back() == '\n' ? 0 : 1);
  };
  const auto alone = lines();
  CHECK(*t.keys.publish(t.id, 5, "m") == 5);
  CHECK(lines() == alone + 1);
  t.keys.disconnect();
  CHECK(lines() == alone);
  t.keys.disconnect();
  CHECK(*t.keys.publish(t.id, 6, "m") == 6);
  CHECK(lines() == alone + 1);
}
