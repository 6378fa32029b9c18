#include <doctest/doctest.h>

#include <atomic>
#include <vector>

#include "eventually.hpp"
#include "redis_fixture.hpp"
#include "sboxfs/redis/bus.hpp"
#include "sboxfs/redis/news.hpp"

using namespace sboxfs;
using test::eventually;
using test::RedisFixture;

namespace {

/// A bus and what it heard.
struct Ear {
  Ear(const RedisFixture& redis, SandboxId id, const std::string& user = {}, const std::string& password = {})
      : bus(options_of(redis, user, password), "acme", id) {
    bus.listen({[this](const News& news) {
                  MutexLock lock(mutex);
                  heard.push_back(news);
                },
                [this] { ++connects; }, [this] { ++disconnects; }});
    bus.start();
  }
  ~Ear() { bus.stop(); }

  static RedisOptions options_of(const RedisFixture& redis, const std::string& user, const std::string& password) {
    RedisOptions options = *parse_redis_url(redis.url());
    options.call_timeout_ns = 2 * kSecondNs;
    options.user = user;
    options.password = password;
    return options;
  }
  bool connected(int times) {
    return eventually([&] { return connects == times && bus.connected(); });
  }
  std::vector<News> news() {
    MutexLock lock(mutex);
    return heard;
  }

  Mutex mutex;
  std::vector<News> heard GUARDED_BY(mutex);
  std::atomic<int> connects{0};
  std::atomic<int> disconnects{0};
  RedisBus bus;
};

News version_news(Version version) {
  News news;
  news.stamp = {version, Uuid::random()};
  news.previous = version - 1;
  news.epoch = 3;
  news.session = Uuid::random();
  news.delta = Delta{{{1, "a"}}, {{5, kChangedAttr, {}}}};
  return news;
}

}  // namespace

TEST_CASE("redis bus: a publish sets the key and is heard with its delta by all, in order") {
  RedisFixture redis;
  const SandboxId id = Uuid::random();
  Ear one(redis, id);
  Ear two(redis, id);
  REQUIRE(one.connected(1));
  REQUIRE(two.connected(1));
  const News first = version_news(5);
  CHECK(*one.bus.publish(first) == 5);
  News ask;
  ask.kind = News::Kind::want_lease;
  ask.session = Uuid::random();
  REQUIRE(two.bus.announce(ask).ok());
  for (Ear* ear : {&one, &two}) {
    REQUIRE(eventually([&] { return ear->news().size() == 2; }));
    const std::vector<News> heard = ear->news();
    CHECK(heard[0].kind == News::Kind::version);
    CHECK(heard[0].stamp == first.stamp);
    CHECK(heard[0].previous == 4);
    CHECK(heard[0].epoch == 3);
    CHECK(heard[0].session == first.session);
    CHECK(heard[0].delta == first.delta);
    CHECK(heard[1].kind == News::Kind::want_lease);
    CHECK(heard[1].session == ask.session);
  }
  CHECK(**two.bus.published() == 5);
  REQUIRE(two.bus.lower(5, 4).ok());
  CHECK(**one.bus.published() == 4);
  REQUIRE(two.bus.erase().ok());
  CHECK(*one.bus.published() == std::nullopt);
}

TEST_CASE("redis bus: news of other sandboxes and tenants is not heard") {
  RedisFixture redis;
  const SandboxId id = Uuid::random();
  Ear ear(redis, id);
  REQUIRE(ear.connected(1));
  RedisKeys stranger(Ear::options_of(redis, {}, {}), "umbrella");
  REQUIRE(stranger.publish(id, 9, encode_news(version_news(9))).ok());
  REQUIRE(ear.bus.keys().publish(Uuid::random(), 8, encode_news(version_news(8))).ok());
  REQUIRE(ear.bus.keys().publish(id, 7, encode_news(version_news(7))).ok());
  REQUIRE(eventually([&] { return !ear.news().empty(); }));
  CHECK(ear.news().front().stamp.version == 7);
}

TEST_CASE("redis bus: forged and damaged messages are ignored") {
  RedisFixture redis;
  const SandboxId id = Uuid::random();
  Ear ear(redis, id);
  REQUIRE(ear.connected(1));
  const std::string channel = news_channel("acme", id);
  const std::string real = encode_news(version_news(5));
  for (const std::string& forged : {std::string(), std::string("hello"), std::string(100, '\xff'), real + "x",
                                    real.substr(0, real.size() - 1), std::string(1 << 20, 'x')})
    CHECK(redis.command({"PUBLISH", channel, forged}) == "1");
  REQUIRE(ear.bus.publish(version_news(6)).ok());
  REQUIRE(eventually([&] { return !ear.news().empty(); }));
  CHECK(ear.news().size() == 1);
  CHECK(ear.news().front().stamp.version == 6);
  CHECK(ear.disconnects == 0);
}

TEST_CASE("redis bus: a Redis without memory still carries the news") {
  RedisFixture redis;
  Ear ear(redis, Uuid::random());
  REQUIRE(ear.connected(1));
  REQUIRE(redis.command({"CONFIG", "SET", "maxmemory", "1"}) == "OK");
  CHECK(ear.bus.publish(version_news(6)).code() == EIO);
  REQUIRE(eventually([&] { return !ear.news().empty(); }));
  CHECK(ear.news().front().stamp.version == 6);
  CHECK(*ear.bus.published() == std::nullopt);
}

TEST_CASE("redis bus: a hung Redis is noticed, and calls work as soon as it is back") {
  RedisFixture redis;
  Ear ear(redis, Uuid::random());
  REQUIRE(ear.connected(1));
  redis.pause();
  REQUIRE(eventually([&] { return ear.disconnects == 1; }));
  CHECK_FALSE(ear.bus.connected());
  CHECK(ear.bus.publish(version_news(2)).code() == EAGAIN);
  redis.resume();
  REQUIRE(ear.connected(2));
  CHECK(*ear.bus.publish(version_news(2)) == 2);
  REQUIRE(eventually([&] { return !ear.news().empty(); }));
  CHECK(ear.disconnects == 1);
}

TEST_CASE("redis bus: a quiet Redis is not taken for a hung one") {
  RedisFixture redis;
  Ear ear(redis, Uuid::random());
  REQUIRE(ear.connected(1));
  // Six pings answered: longer than silence may last.
  const auto pings = [&] {
    const std::string stats = redis.command({"INFO", "commandstats"});
    const auto at = stats.find("cmdstat_ping:calls=");
    return at == std::string::npos ? 0 : std::atoi(stats.c_str() + at + 19);
  };
  const int before = pings();
  REQUIRE(eventually([&] { return pings() >= before + 6; }));
  CHECK(ear.disconnects == 0);
  CHECK(ear.connects == 1);
}

TEST_CASE("redis bus: killed and started empty, it is connected to again and repaired by the next publish") {
  RedisFixture redis;
  Ear ear(redis, Uuid::random());
  REQUIRE(ear.connected(1));
  REQUIRE(*ear.bus.publish(version_news(5)) == 5);
  REQUIRE(eventually([&] { return ear.news().size() == 1; }));
  redis.kill();
  REQUIRE(eventually([&] { return ear.disconnects == 1; }));
  CHECK(ear.bus.publish(version_news(6)).code() == EAGAIN);
  redis.start();
  REQUIRE(ear.connected(2));
  CHECK(*ear.bus.published() == std::nullopt);
  CHECK(*ear.bus.publish(version_news(6)) == 6);
  REQUIRE(eventually([&] { return ear.news().size() == 2; }));
  CHECK(ear.news().back().stamp.version == 6);
}

TEST_CASE("redis bus: a refused subscription does not count as connected") {
  RedisFixture redis;
  REQUIRE(redis.command({"ACL", "SETUSER", "bob", "on", ">bobs", "allkeys", "resetchannels", "+@all"}) == "OK");
  Ear ear(redis, Uuid::random(), "bob", "bobs");
  const auto refusals = [&] {
    const std::string stats = redis.command({"INFO", "commandstats"});
    const auto at = stats.find("cmdstat_subscribe:");
    const auto rejected = stats.find("rejected_calls=", at);
    return at == std::string::npos ? 0 : std::atoi(stats.c_str() + rejected + 15);
  };
  REQUIRE(eventually([&] { return refusals() >= 2; }));  // so it has seen the first one
  CHECK(ear.connects == 0);
  CHECK_FALSE(ear.bus.connected());
  CHECK(*ear.bus.published() == std::nullopt);
  REQUIRE(redis.command({"ACL", "SETUSER", "bob", "allchannels"}) == "OK");
  CHECK(ear.connected(1));
}

TEST_CASE("redis bus: no handler runs after stop, and it can be started again") {
  RedisFixture redis;
  Ear ear(redis, Uuid::random());
  REQUIRE(ear.connected(1));
  ear.bus.stop();
  CHECK_FALSE(ear.bus.connected());
  REQUIRE(ear.bus.publish(version_news(2)).ok());  // commands go on
  CHECK(ear.news().empty());
  CHECK(ear.disconnects == 0);
  ear.bus.start();
  REQUIRE(ear.connected(2));
  REQUIRE(ear.bus.publish(version_news(3)).ok());
  REQUIRE(eventually([&] { return !ear.news().empty(); }));
  CHECK(ear.news().front().stamp.version == 3);
}

TEST_CASE("redis bus: stop does not wait for a hung or missing Redis") {
  RedisFixture redis;
  Ear ear(redis, Uuid::random());
  REQUIRE(ear.connected(1));
  redis.pause();
  REQUIRE(eventually([&] { return ear.disconnects == 1; }));
  const auto start = std::chrono::steady_clock::now();
  ear.bus.stop();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(8));
  redis.resume();
}
