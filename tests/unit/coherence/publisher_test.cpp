#include "sboxfs/coherence/publisher.hpp"

#include <doctest/doctest.h>

#include "fake_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakePeer peer{store, redis, clock};

  Fixture() { peer.may_write(); }
  Version change() {
    peer.touch(kRootIno);
    return peer.commit();
  }
};

}  // namespace

TEST_CASE("publisher: a commit is published with what it changed, once") {
  Fixture f;
  f.peer.publisher.start();
  const Version version = f.change();
  REQUIRE(eventually([&] { return f.peer.publisher.published() == version; }));
  CHECK(f.redis.key() == version);
  CHECK(f.redis.publishes() == 1);
  const News news = f.redis.announced().at(0);
  CHECK(news.stamp == f.peer.seen());
  CHECK(news.previous == version - 1);
  CHECK(news.session == f.peer.self);
  REQUIRE(news.delta);
  CHECK(news.delta->inodes.at(0).ino == kRootIno);
  CHECK(f.peer.committer.published_version == version);
}

TEST_CASE("publisher: what is not committed is not published") {
  Fixture f;
  f.peer.touch_and_hang();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.attempts() == 0);
  // Refused: it never will be.
  f.store.take_epoch();
  f.store.let_commits_go();
  REQUIRE(eventually([&] { return f.peer.state.losses == 1; }));
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.attempts() == 0);
}

TEST_CASE("publisher: a stranded publish is drained once Redis recovers, and a second tick changes nothing") {
  Fixture f;
  f.redis.go_away();
  f.peer.publisher.start();
  const Version version = f.change();  // the caller's commit succeeds all the same
  REQUIRE(eventually([&] { return f.redis.attempts() == 1; }));
  CHECK(f.redis.key() == std::nullopt);
  CHECK(f.peer.publisher.published() == 0);
  f.redis.come_back();
  f.clock.advance(10 * kSecondNs);  // the drain interval
  f.peer.publisher.retry_now();
  REQUIRE(eventually([&] { return f.redis.key() == version; }));
  CHECK(f.redis.publishes() == 1);
  f.clock.advance(10 * kSecondNs);
  f.peer.publisher.retry_now();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.publishes() == 1);
  CHECK(f.redis.key() == version);
}

TEST_CASE("publisher: a pending version is tried again every drain interval, without being asked") {
  FakeStore store;
  FakeRedis redis;
  const SystemClock clock;
  PublisherOptions options;
  options.drain_interval_ns = 5 * kMillisecondNs;
  FakePeer peer(store, redis, clock, options);
  peer.may_write();
  redis.go_away();
  peer.publisher.start();
  peer.touch(kRootIno);
  const Version version = peer.commit();
  REQUIRE(eventually([&] { return redis.attempts() >= 3; }));
  redis.come_back();
  REQUIRE(eventually([&] { return peer.publisher.published() == version; }));
  CHECK(redis.publishes() == 1);
}

TEST_CASE("publisher: a drain that fails stays pending and succeeds later") {
  Fixture f;
  f.redis.go_away();
  const Version version = f.change();
  CHECK(f.peer.publisher.drain(0).code() == EAGAIN);
  CHECK(f.store.rows().published_version == 0);  // the outbox has it
  f.redis.come_back();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.key() == version);
  CHECK(f.store.rows().published_version == version);
}

TEST_CASE("publisher: a reload that cleared the dirty mark before the drainer ran leads to no second bump") {
  Fixture f;
  f.redis.go_away();
  const Version version = f.change();
  CHECK(f.peer.publisher.drain(0).code() == EAGAIN);
  // The change row of `seen` is gone: the session reloads at the same version.
  f.store.edit([](FakeStore::Rows& rows) { rows.changes.clear(); });
  CHECK(f.peer.adoption.check().ok());
  CHECK(f.peer.reloads == 1);
  f.redis.come_back();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.key() == version);
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.publishes() == 1);
}

TEST_CASE("publisher: a version that a restored database does not have is not published") {
  Fixture f;
  const FakeStore::Rows backup = f.store.rows();
  f.redis.go_away();
  f.change();
  f.change();
  f.store.edit([&](FakeStore::Rows& rows) { rows = backup; });
  CHECK(f.peer.adoption.check().ok());
  f.redis.come_back();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.attempts() == 0);
  // What is committed from here on has smaller numbers than before, and is published all the same.
  const Version version = f.change();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.key() == version);
}

TEST_CASE("publisher: several pending versions go out as one announcement") {
  Fixture f;
  f.redis.go_away();
  const Version first = f.change();
  CHECK(f.peer.publisher.drain(0).code() == EAGAIN);
  f.change();
  const Version last = f.change();
  f.redis.come_back();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.publishes() == 1);
  const News news = f.redis.announced().at(0);
  CHECK(news.stamp.version == last);
  CHECK(news.previous == first - 1);
  CHECK_FALSE(news.delta);  // one delta would not be all of it
}

TEST_CASE("publisher: what Redis acknowledged is written to the row after a second without a commit") {
  Fixture f;
  f.peer.publisher.start();
  const Version version = f.change();
  REQUIRE(eventually([&] { return f.peer.publisher.published() == version; }));
  CHECK(f.store.rows().published_version == 0);
  f.clock.advance(kSecondNs);
  f.peer.publisher.retry_now();  // wakes the thread: the clock does not
  CHECK(eventually([&] { return f.store.rows().published_version == version; }));
  CHECK(f.redis.publishes() == 1);
}

TEST_CASE("publisher: what was acknowledged rides in the next commit") {
  Fixture f;
  const Version first = f.change();
  CHECK(f.peer.publisher.drain(0).ok());
  f.store.edit([](FakeStore::Rows& rows) { rows.published_version = 0; });
  f.change();
  CHECK(f.store.rows().published_version == first);
}

TEST_CASE("publisher: nobody publishes for a destroyed sandbox") {
  Fixture f;
  f.redis.go_away();
  f.change();
  f.peer.state.destroyed = true;
  f.redis.come_back();
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.attempts() == 0);
}

TEST_CASE("publisher: waiting for a publication ends with it, and at once while Redis is known to be away") {
  Fixture f;
  f.peer.publisher.start();
  const Version version = f.change();
  CHECK(f.peer.publisher.wait_published(version, 10 * kSecondNs));
  f.redis.go_away();
  const Version next = f.change();
  REQUIRE(eventually([&] { return f.redis.attempts() == 2; }));
  // The clock stands still: only the knowledge that Redis is away can end this.
  CHECK_FALSE(f.peer.publisher.wait_published(next, 10 * kSecondNs));
}

TEST_CASE("publisher: with Redis back, the next commit is published without waiting for the drain interval") {
  Fixture f;
  f.redis.go_away();
  f.peer.publisher.start();
  f.change();
  REQUIRE(eventually([&] { return f.redis.attempts() == 1; }));
  f.redis.come_back();  // unnoticed: no subscription here
  const Version version = f.change();
  CHECK(eventually([&] { return f.redis.key() == version; }));
}

TEST_CASE("publisher: a key that was lost is published again when the audit says so") {
  Fixture f;
  const Version version = f.change();
  CHECK(f.peer.publisher.drain(0).ok());
  f.redis.set_key(std::nullopt);
  f.peer.publisher.committed(Change{f.peer.seen(), 0, {}, {}}, 0);
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.key() == version);
}
