#include "sboxfs/redis/options.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;

TEST_CASE("redis url: a unix socket") {
  const Result<RedisOptions> options = parse_redis_url("unix:///run/redis.sock");
  REQUIRE(options.ok());
  CHECK(options->path == "/run/redis.sock");
  CHECK(options->host.empty());
}

TEST_CASE("redis url: host, port, database and user") {
  const Result<RedisOptions> all = parse_redis_url("redis://bob@cache.example:7000/3");
  REQUIRE(all.ok());
  CHECK(all->path.empty());
  CHECK(all->user == "bob");
  CHECK(all->host == "cache.example");
  CHECK(all->port == 7000);
  CHECK(all->database == 3);

  const Result<RedisOptions> least = parse_redis_url("redis://10.0.0.1");
  REQUIRE(least.ok());
  CHECK(least->host == "10.0.0.1");
  CHECK(least->port == 6379);
  CHECK(least->database == 0);
  CHECK(least->user.empty());

  const Result<RedisOptions> ipv6 = parse_redis_url("redis://[fd00::1]:6380/");
  REQUIRE(ipv6.ok());
  CHECK(ipv6->host == "fd00::1");
  CHECK(ipv6->port == 6380);
}

TEST_CASE("redis url: what is wrong is refused with EINVAL and a sentence") {
  for (const char* url :
       {"", "redis", "http://x", "rediss://x", "unix://", "unix://relative", "redis://", "redis://:6379", "redis://h:0",
        "redis://h:65536", "redis://h:six", "redis://h:-1", "redis://h:1:2", "redis://h/x", "redis://h/-1",
        "redis://[::1", "redis://[::1]6379", "redis://::1"}) {
    CAPTURE(url);
    const Result<RedisOptions> options = parse_redis_url(url);
    REQUIRE_FALSE(options.ok());
    CHECK(options.code() == EINVAL);
    CHECK_FALSE(options.error().what.empty());
  }
  CHECK(parse_redis_url("unix:///" + std::string(106, 'x')).ok());
  CHECK(parse_redis_url("unix:///" + std::string(107, 'x')).code() == EINVAL);
}

TEST_CASE("redis url: a password in it is refused and not repeated") {
  for (const char* url : {"redis://bob:geheim@h:1", "redis://:geheim@h", "redis://bob:ge@heim@h"}) {
    CAPTURE(url);
    const Result<RedisOptions> options = parse_redis_url(url);
    REQUIRE(options.code() == EINVAL);
    CHECK(options.error().what.find("heim") == std::string::npos);
    CHECK(options.error().what.find("--redis-password-file") != std::string::npos);
  }
}
