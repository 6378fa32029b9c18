#include "sboxfs/coherence/watcher.hpp"

#include <doctest/doctest.h>

#include <set>

#include "fake_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

WatcherOptions quick() {
  WatcherOptions options;
  options.poll_ns = 2 * kMillisecondNs;  // real time: how soon the threads notice that the clock was moved
  return options;
}

/// A reader with everything a watcher tells, and a writer on the same store and Redis.
struct Fixture {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakePeer writer{store, redis, clock};
  FakePeer reader{store, redis, clock};
  std::atomic<int> differences{0};
  std::atomic<int> unhealthy{0};
  Watcher watcher{reader.state,
                  reader.adoption,
                  reader.bus,
                  clock,
                  quick(),
                  WatcherHooks{[this](std::optional<Version> key, const Stamp& truth) { on_difference(key, truth); },
                               [this] { ++unhealthy; }}};

  Fixture() {
    writer.may_write();
    writer.load(kRootIno);
    writer.publisher.start();
    const std::size_t before = looks();
    reader.notifier.start();
    Bus::Listener listener;
    listener.on_news = [this](const News& news) {
      if (news.kind == News::Kind::version) watcher.on_version(news);
      if (news.kind == News::Kind::destroyed) watcher.on_destroyed();
    };
    listener.on_connected = [this] { watcher.on_connected(); };
    listener.on_disconnected = [this] { watcher.on_disconnected(); };
    reader.bus.listen(std::move(listener));
    watcher.start();
    reader.bus.start();
    // The first look, after the subscription is up.
    if (!eventually([&] { return looks() > before; })) throw std::runtime_error("the watcher does not look");
  }
  ~Fixture() {
    reader.bus.stop();
    watcher.stop();
  }

  void on_difference(std::optional<Version> key, const Stamp& truth) {
    ++differences;
    if (key && *key > truth.version) {
      (void)reader.bus.lower(*key, truth.version);
    } else {
      reader.publisher.committed(Change{truth, 0, {}, {}}, 0);
    }
  }
  std::size_t looks() const { return store.loads("changes"); }
  bool reader_is_current() {
    return eventually([this] { return reader.seen() == store.rows().stamp; });
  }
  bool kernel_knows() { return reader.notifier.wait(reader.notifier.newest(), 10 * kSecondNs); }
  /// Like eventually(), while the clock goes on by as much as the watcher polls.
  template <class Condition>
  bool as_time_passes(Condition condition) {
    return eventually([&] {
      clock.advance(quick().poll_ns);
      return condition();
    });
  }
  /// Moves the clock; true once the watcher has begun another look. (A look that was not over yet when the clock moved
  /// counts from then: so the clock goes on a little.)
  bool next_look(std::int64_t ns) {
    const std::size_t before = looks();
    clock.advance(ns);
    return eventually([&] {
      const bool looked = looks() > before;
      if (!looked) clock.advance(ns / 100);
      return looked;
    });
  }
};

constexpr std::int64_t kAudit = 5 * kSecondNs;

}  // namespace

TEST_CASE("watcher: a published version is adopted and exactly what it changed is taken back") {
  Fixture f;
  f.writer.create("new");
  f.reader.load(kRootIno);
  f.writer.commit();
  REQUIRE(f.reader_is_current());
  REQUIRE(eventually([&] { return f.reader.notifier.newest() == 1; }));
  REQUIRE(f.kernel_knows());
  std::set<std::string> told;
  for (const std::string& line : f.reader.kernel.take()) told.insert(line);
  CHECK(told == std::set<std::string>{"data 1 0+0", "name 1 new"});
  CHECK(f.reader.in_memory(kRootIno));  // its attributes did not change
}

TEST_CASE("watcher: memory first, kernel second") {
  Fixture f;
  f.reader.load(kRootIno);
  const std::int64_t before = f.reader.mtime(kRootIno);
  std::atomic<bool> old{false};
  f.reader.kernel.watch([&] {
    // What a LOOKUP would be answered with at the moment the kernel forgets.
    if (f.reader.mtime(kRootIno) == before) old = true;
  });
  f.writer.touch(kRootIno);
  f.writer.commit();
  REQUIRE(f.reader_is_current());
  REQUIRE(eventually([&] { return f.reader.kernel.heard("attr 1"); }));
  CHECK_FALSE(old);
  f.reader.kernel.watch({});
}

TEST_CASE("watcher: its own session's versions cost no query") {
  Fixture f;
  f.reader.may_write();
  f.reader.publisher.start();
  const std::size_t before = f.looks();
  f.reader.touch(kRootIno);
  const Version version = f.reader.commit();
  REQUIRE(f.reader.publisher.wait_published(version, 10 * kSecondNs));
  // News come in order: when this one leads to a look, the own one has led to none.
  News forged;
  forged.stamp = {version + 5, Uuid::random()};
  f.redis.say(forged);
  REQUIRE(eventually([&] { return f.looks() > before; }));
  CHECK(f.looks() == before + 1);
}

TEST_CASE("watcher: a gap in the announcements leads to all of it") {
  Fixture f;
  f.reader.load(kRootIno);
  f.redis.lose_messages(2);
  f.writer.touch(kRootIno);
  f.writer.commit();
  f.writer.create("one");
  const Version second = f.writer.commit();
  REQUIRE(f.writer.publisher.wait_published(second, 10 * kSecondNs));
  f.redis.lose_messages(0);
  f.writer.create("two");
  f.writer.commit();
  REQUIRE(f.reader_is_current());
  REQUIRE(eventually([&] { return f.reader.kernel.heard("name 1 two"); }));
  CHECK(f.reader.kernel.heard("name 1 one"));
  CHECK(f.reader.kernel.heard("attr 1"));
  CHECK(f.reader.reloads == 0);
}

TEST_CASE("watcher: the audit heals a lost message") {
  Fixture f;
  f.redis.lose_messages(1);
  f.writer.touch(kRootIno);
  const Version version = f.writer.commit();
  REQUIRE(f.writer.publisher.wait_published(version, 10 * kSecondNs));
  CHECK(f.reader.seen().version == version - 1);
  REQUIRE(f.next_look(kAudit));
  CHECK(f.reader_is_current());
  CHECK(f.differences == 0);
}

TEST_CASE("watcher: a forged announcement costs a query and nothing else") {
  Fixture f;
  f.reader.load(kRootIno);
  const Stamp before = f.reader.seen();
  News forged;
  forged.stamp = {1000, Uuid::random()};
  forged.previous = before.version;
  forged.delta = Delta{{{kRootIno, "x"}}, {{kRootIno, kChangedAttr | kChangedGone, {}}}};
  const std::size_t looks = f.looks();
  f.redis.say(forged);
  REQUIRE(eventually([&] { return f.looks() == looks + 1; }));
  CHECK(f.reader.seen() == before);
  CHECK(f.reader.in_memory(kRootIno));
  CHECK(f.reader.notifier.newest() == 0);
  CHECK_FALSE(f.reader.state.destroyed);
  forged.kind = News::Kind::destroyed;
  f.redis.say(forged);
  REQUIRE(eventually([&] { return f.looks() == looks + 2; }));
  CHECK_FALSE(f.reader.state.destroyed);
}

TEST_CASE("watcher: an equal version of another batch leads to a check, and a reload if the database agrees") {
  Fixture f;
  f.reader.load(kRootIno);
  f.store.edit([](FakeStore::Rows& rows) {
    rows.stamp.batch = rows.changes.back().stamp.batch = Uuid::random();
    ++rows.inodes.at(kRootIno).attr.mtime;
  });
  News news;
  news.stamp = f.store.rows().stamp;
  f.redis.say(news);
  REQUIRE(f.reader_is_current());
  REQUIRE(eventually([&] { return f.reader.kernel.heard("all"); }));
  CHECK(f.reader.reloads == 1);
  CHECK(f.reader.mtime(kRootIno) == f.store.rows().inodes.at(kRootIno).attr.mtime);
}

TEST_CASE("watcher: a change row that is gone leads to a reload") {
  Fixture f;
  f.reader.load(kRootIno);
  f.redis.lose_messages(1);
  f.writer.touch(kRootIno);
  f.writer.commit();
  f.store.edit([](FakeStore::Rows& rows) { rows.changes.erase(rows.changes.begin()); });
  REQUIRE(f.next_look(kAudit));
  REQUIRE(f.reader_is_current());
  CHECK(eventually([&] { return f.reader.reloads == 1; }));
  CHECK(eventually([&] { return f.reader.kernel.heard("all") && f.reader.kernel.heard("attr 1"); }));
}

TEST_CASE("watcher: with Redis away it polls, and goes on invalidating") {
  Fixture f;
  f.reader.load(kRootIno);
  f.redis.go_away();
  f.writer.touch(kRootIno);
  f.writer.commit();
  REQUIRE(f.as_time_passes([&] { return f.reader.seen() == f.store.rows().stamp; }));
  CHECK(eventually([&] { return f.reader.kernel.heard("attr 1"); }));
  for (int i = 0; i < 4; ++i) {
    REQUIRE(f.next_look(3 * kSecondNs));
  }
  CHECK(f.reader.state.cacheable);
  CHECK_FALSE(f.reader.state.stale);
  CHECK(f.unhealthy == 0);
}

TEST_CASE("watcher: what was missed while the subscription was down is adopted when it is back") {
  Fixture f;
  f.store.fail_loads(EIO, 1000);
  f.redis.go_away();
  f.writer.touch(kRootIno);
  f.writer.commit();
  REQUIRE(f.next_look(kSecondNs));
  f.store.fail_loads(0, 0);
  f.redis.come_back();
  CHECK(f.reader_is_current());
}

TEST_CASE("watcher: a look that fails after news is repeated soon, not at the next audit") {
  Fixture f;
  f.store.fail_loads(EIO, 1);
  const std::size_t before = f.looks();
  f.writer.touch(kRootIno);
  f.writer.commit();
  REQUIRE(eventually([&] { return f.looks() > before; }));
  const std::int64_t start = f.clock.monotonic_ns();
  CHECK(f.as_time_passes([&] { return f.reader.seen() == f.store.rows().stamp; }));
  CHECK(f.clock.monotonic_ns() - start < kAudit);
}

TEST_CASE("watcher: stale and not cacheable an audit interval and a second after the last confirmation") {
  Fixture f;
  const std::size_t before = f.looks();
  f.redis.go_away();
  REQUIRE(eventually([&] { return f.looks() > before; }));
  f.store.fail_loads(EIO, 100000);
  f.clock.advance(kAudit);
  CHECK(f.reader.state.cacheable);
  CHECK_FALSE(f.reader.state.stale);
  f.clock.advance(kSecondNs + kMillisecondNs);
  REQUIRE(eventually([&] { return f.unhealthy == 1; }));
  CHECK(f.reader.state.stale);
  CHECK_FALSE(f.reader.state.cacheable);
  f.store.fail_loads(0, 0);
  REQUIRE(f.as_time_passes([&] { return !f.reader.state.stale; }));
  CHECK(f.reader.state.cacheable);
  CHECK(f.unhealthy == 1);
}

TEST_CASE("watcher: a look that hangs does not hide that the state is stale") {
  Fixture f;
  f.store.hold_loads();
  f.redis.go_away();
  f.store.wait_for_held_load();
  f.clock.advance(kAudit + kSecondNs + kMillisecondNs);
  CHECK(eventually([&] { return f.reader.state.stale.load(); }));
  CHECK(eventually([&] { return f.unhealthy == 1; }));
  f.store.let_loads_go();
  CHECK(eventually([&] { return !f.reader.state.stale; }));
}

TEST_CASE("watcher: without Postgres the subscription alone confirms, until it brings news") {
  Fixture f;
  f.store.fail_loads(EIO, 100000);
  for (int i = 0; i < 3; ++i) REQUIRE(f.next_look(kAudit));
  CHECK_FALSE(f.reader.state.stale);
  CHECK(f.reader.state.cacheable);
  News news;
  news.stamp = {1000, Uuid::random()};
  const std::size_t before = f.looks();
  f.redis.say(news);
  REQUIRE(eventually([&] { return f.looks() > before; }));
  f.clock.advance(kAudit + kSecondNs + kMillisecondNs);
  CHECK(eventually([&] { return f.reader.state.stale.load(); }));
}

TEST_CASE("watcher: a key that is too high is put back") {
  Fixture f;
  f.redis.set_key(1000);
  REQUIRE(f.next_look(kAudit));
  REQUIRE(eventually([&] { return f.differences == 1; }));
  CHECK(f.redis.key() == f.store.rows().stamp.version);
}

TEST_CASE("watcher: a key that is ahead of an old look is not put back") {
  Fixture f;
  f.redis.lose_messages(1);
  f.writer.touch(kRootIno);
  const Version version = f.writer.commit();
  REQUIRE(f.writer.publisher.wait_published(version, 10 * kSecondNs));
  REQUIRE(f.next_look(kAudit));
  REQUIRE(f.reader_is_current());
  REQUIRE(f.next_look(kAudit));
  CHECK(f.redis.lowered() == 0);
  CHECK(f.redis.key() == version);
}

TEST_CASE("watcher: a key that stays lost is published again") {
  Fixture f;
  f.writer.touch(kRootIno);
  const Version version = f.writer.commit();
  REQUIRE(f.writer.publisher.wait_published(version, 10 * kSecondNs));
  REQUIRE(f.reader_is_current());
  REQUIRE(f.next_look(kAudit));
  f.redis.set_key(std::nullopt);
  REQUIRE(f.next_look(kAudit));
  REQUIRE(eventually([&] { return f.differences == 1; }));
  CHECK(f.reader.publisher.drain(0).ok());
  CHECK(f.redis.key() == version);
}

TEST_CASE("watcher: destroyed is believed when the database says so") {
  Fixture f;
  f.store.destroy();
  News news;
  news.kind = News::Kind::destroyed;
  f.redis.say(news);
  CHECK(eventually([&] { return f.reader.destroyed == 1; }));
  CHECK(f.reader.state.destroyed);
}

TEST_CASE("watcher: a destroy nobody announced is found by the audit") {
  Fixture f;
  f.store.destroy();
  REQUIRE(f.next_look(kAudit));
  CHECK(eventually([&] { return f.reader.destroyed == 1; }));
}
