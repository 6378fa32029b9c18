#include <doctest/doctest.h>
#include <fcntl.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "eventually.hpp"
#include "redis_fixture.hpp"
#include "sboxfs/redis/bus.hpp"

using namespace sboxfs;
using test::eventually;
using test::RedisFixture;

namespace {

template <class Call>
std::int64_t milliseconds(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
}

struct Outage {
  RedisFixture redis;
  SandboxId id = Uuid::random();
  RedisKeys keys{*parse_redis_url(redis.url()), "acme"};

  /// The first call may find the machine busy.
  bool up() {
    return eventually([this] { return keys.publish(id, 1, "m").ok(); });
  }
  int code() { return keys.publish(id, 2, "m").code(); }
  /// Fifty calls with the breaker open: nowhere near fifty time-outs.
  void check_open() {
    std::vector<int> codes;
    CHECK(milliseconds([&] {
            for (int call = 0; call < 50; ++call) codes.push_back(keys.published(id).code());
          }) < 1500);
    for (int code : codes) CHECK(code == EAGAIN);
  }
};

}  // namespace

TEST_CASE("redis outage: a hung Redis costs one time-out, then calls fail at once, then it heals") {
  Outage t;
  REQUIRE(t.up());
  t.redis.pause();
  int code = 0;
  CHECK(milliseconds([&] { code = t.code(); }) < 2000);
  CHECK(code == EAGAIN);
  t.check_open();
  t.redis.resume();
  CHECK(eventually([&] { return t.keys.publish(t.id, 3, "m").ok(); }));
  CHECK(**t.keys.published(t.id) == 3);
}

TEST_CASE("redis outage: callers that queue behind a hung call fail with it") {
  Outage t;
  REQUIRE(t.up());
  t.redis.pause();
  std::vector<int> codes(20);
  // One after the other they would take two seconds at least.
  CHECK(milliseconds([&] {
          std::vector<std::jthread> callers;
          for (int& code : codes) callers.emplace_back([&] { code = t.keys.announce(t.id, "m").code(); });
        }) < 1500);
  for (int code : codes) CHECK(code == EAGAIN);
}

TEST_CASE("redis outage: nobody there at the first call") {
  Outage t;
  t.redis.kill();
  int code = 0;
  CHECK(milliseconds([&] { code = t.code(); }) < 2000);
  CHECK(code == EAGAIN);
  CHECK(t.keys.publish(t.id, 2, "m").error().what.find("can not be reached") != std::string::npos);
  t.check_open();
  t.redis.start();
  CHECK(eventually([&] { return t.code() == 0; }));
}

TEST_CASE("redis outage: a hung Redis at the first call") {
  Outage t;
  t.redis.pause();
  int code = 0;
  CHECK(milliseconds([&] { code = t.code(); }) < 2000);
  CHECK(code == EAGAIN);
  t.check_open();
  t.redis.resume();
  CHECK(eventually([&] { return t.code() == 0; }));
}

TEST_CASE("redis outage: a restart between two calls costs no call") {
  RedisFixture redis;
  RedisOptions options = *parse_redis_url(redis.url());
  options.call_timeout_ns = 5 * kSecondNs;
  RedisKeys keys(options, "acme");
  const SandboxId id = Uuid::random();
  REQUIRE(keys.publish(id, 7, "m").ok());
  redis.kill();
  redis.start();
  CHECK(*keys.published(id) == std::nullopt);
  CHECK(*keys.publish(id, 7, "m") == 7);
  REQUIRE(redis.command({"CLIENT", "KILL", "TYPE", "normal"}) != "0");
  CHECK(**keys.published(id) == 7);
}

TEST_CASE("redis outage: close_breaker lets the next call wait for the connection") {
  RedisFixture redis;
  RedisOptions options = *parse_redis_url(redis.url());
  options.call_timeout_ns = 5 * kSecondNs;
  RedisKeys keys(options, "acme");
  const SandboxId id = Uuid::random();
  redis.kill();
  REQUIRE(keys.publish(id, 1, "m").code() == EAGAIN);
  redis.start();
  keys.close_breaker();
  CHECK(keys.publish(id, 1, "m").ok());
}

TEST_CASE("redis outage: CLIENT PAUSE is a hang that ends") {
  Outage t;
  REQUIRE(t.up());
  REQUIRE(t.redis.command({"CLIENT", "PAUSE", "3000"}) == "OK");
  int code = 0;
  CHECK(milliseconds([&] { code = t.code(); }) < 2000);
  CHECK(code == EAGAIN);
  CHECK(eventually([&] { return t.code() == 0; }));
}

TEST_CASE("redis outage: a wrong password is EACCES, and the text does not repeat it") {
  RedisFixture redis({"--requirepass", "richtig"});
  RedisOptions options = *parse_redis_url(redis.url());
  options.call_timeout_ns = 5 * kSecondNs;
  const SandboxId id = Uuid::random();
  SUBCASE("wrong") {
    options.password = "falsch";
    RedisKeys keys(options, "acme");
    for (int call = 0; call < 2; ++call) {  // the second finds the breaker open
      const Result<Version> refused = keys.publish(id, 1, "m");
      CHECK(refused.code() == EACCES);
      CHECK(refused.error().what.find("falsch") == std::string::npos);
      CHECK(refused.error().what.find("password") != std::string::npos);
    }
  }
  SUBCASE("none") {
    RedisKeys keys(options, "acme");
    const Result<Version> refused = keys.publish(id, 1, "m");
    CHECK(refused.code() == EACCES);
    CHECK(refused.error().what.find("password") != std::string::npos);
  }
  SUBCASE("right, of the default user and of another") {
    options.password = "richtig";
    RedisKeys keys(options, "acme");
    CHECK(keys.publish(id, 1, "m").ok());
    redis.command({"ACL", "SETUSER", "bob", "on", ">bobs", "allkeys", "allchannels", "+@all"}, "richtig");
    options.user = "bob";
    options.password = "bobs";
    RedisKeys bob(options, "acme");
    CHECK(bob.publish(id, 2, "m").ok());
  }
}

TEST_CASE("redis outage: a password for a Redis that has none is refused in plain words") {
  RedisFixture redis;
  RedisOptions options = *parse_redis_url(redis.url());
  options.call_timeout_ns = 5 * kSecondNs;
  options.password = "unnecessary";
  RedisKeys keys(options, "acme");
  const Status refused = keys.erase(Uuid::random());
  CHECK(refused.code() == EACCES);
  CHECK(refused.error().what.find("unnecessary") == std::string::npos);
}

TEST_CASE("redis outage: programs that are started do not inherit the connection") {
  Outage t;
  REQUIRE(t.up());
  int sockets = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the iterator's own descriptor
    const std::string target = std::filesystem::read_symlink(entry, gone).string();
    if (target.rfind("socket:", 0) != 0) continue;
    ++sockets;
    CHECK((::fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(sockets > 0);
}
