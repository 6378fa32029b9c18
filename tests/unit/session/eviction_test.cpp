#include "eviction.hpp"

#include <doctest/doctest.h>

#include "fake_lease_store.hpp"
#include "fake_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// A session that can go, and another one of the same sandbox.
struct Fixture {
  Fixture() {
    peer.on_committed = [this](std::int64_t sent_ns) { lease.on_committed(sent_ns); };
    peer.on_lost = [this] { lease.on_lost(); };
    REQUIRE(rows.open_session("host", "/mnt", kSecondNs).ok());
    peer.state.cacheable = true;
    peer.committer.stop(true);  // FakePeer has started it
    peer.notifier.start();
    start();
  }
  ~Fixture() { stop(); }

  void start() {
    peer.committer.start();
    lease.start();
    running = true;
  }
  void stop() {
    lease.stop();
    peer.committer.stop(true);
    running = false;
  }
  EvictionHooks hooks() {
    EvictionHooks out;
    out.start = [this] { start(); };
    out.stop = [this] {
      stop();
      key_when_stopped = redis.key();
    };
    out.disconnect = [this] {
      CHECK_FALSE(running);
      session_when_disconnected = leases.session(peer.self).has_value();
      ++disconnected;
    };
    out.destroyed = [this] { ++destroyed; };
    return out;
  }
  /// Changes the tree under a lease of its own; commits.
  Version change() {
    REQUIRE(lease.acquire().ok());
    peer.touch(kRootIno);
    return peer.commit();
  }
  void evict() {
    eviction.take_back();
    REQUIRE(eviction.unused());
    REQUIRE(eviction.settle([] { return true; }).ok());
    eviction.evict();
  }

  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases{store, clock};
  FakePeer other{store, redis, clock};
  FakePeer peer{store, redis, clock};
  FakeLeaseStore rows{leases, peer.self};
  Lease lease{peer.state, peer.committer, rows,           peer.bus,    peer.adoption,
              clock,      peer.self,      LeaseOptions{}, LeaseHooks{}};
  Eviction eviction{peer.state,     store,         rows,       lease,
                    peer.publisher, peer.notifier, peer.cache, EvictionOptions{"host", "/mnt", kSecondNs, 0},
                    hooks()};
  bool running = false;
  std::optional<Version> key_when_stopped;
  bool session_when_disconnected = true;
  int disconnected = 0;
  int destroyed = 0;
};

}  // namespace

TEST_CASE("eviction: an idle eviction publishes before the session goes") {
  Fixture f;
  const Version version = f.change();
  CHECK(f.redis.key() == std::nullopt);  // nobody drains in this test
  f.evict();
  CHECK(f.key_when_stopped == version);
  CHECK(f.store.rows().published_version == version);
  CHECK_FALSE(f.leases.writer());
  CHECK_FALSE(f.eviction.left_unpublished());
}

TEST_CASE("eviction: session row, memory and what the kernel has cached are gone before the connections are") {
  Fixture f;
  const Ino file = [&] {
    REQUIRE(f.lease.acquire().ok());
    const Ino made = f.peer.create("file");
    f.peer.commit();
    return made;
  }();
  f.peer.cache.put(Hash{}, std::make_shared<const std::string>("bytes"));
  f.evict();
  CHECK(f.disconnected == 1);
  CHECK_FALSE(f.session_when_disconnected);
  CHECK_FALSE(f.peer.in_memory(file));
  CHECK(f.peer.cache.bytes() == 0);
  CHECK_FALSE(f.peer.state.cacheable);
  CHECK(f.peer.kernel.heard("all"));
  CHECK(f.peer.kernel.heard(cat("name ", kRootIno, " file")));
  CHECK(f.peer.kernel.heard(cat("data ", file, " 0+0")));
  CHECK(f.eviction.evictions() == 1);
}

TEST_CASE("eviction: an open file or an uncommitted change keeps the session") {
  Fixture f;
  f.peer.load(kRootIno);
  CHECK(f.eviction.unused());
  {
    MutexLock lock(f.peer.state.mu);
    ++f.peer.state.tree.find(kRootIno)->opens;
  }
  CHECK_FALSE(f.eviction.unused());
  {
    MutexLock lock(f.peer.state.mu);
    --f.peer.state.tree.find(kRootIno)->opens;
  }
  REQUIRE(f.lease.acquire().ok());
  f.peer.touch_and_hang();
  CHECK_FALSE(f.eviction.unused());
  f.store.let_commits_go();
  f.peer.commit();
  CHECK(f.eviction.unused());
}

TEST_CASE("eviction: with Redis away the outbox keeps the version, and the revival makes it pending again") {
  Fixture f;
  f.redis.go_away();
  const Version version = f.change();
  f.evict();
  CHECK(f.eviction.left_unpublished());
  CHECK(f.store.rows().published_version < version);
  f.redis.come_back();
  REQUIRE(f.eviction.revive().ok());
  CHECK_FALSE(f.eviction.left_unpublished());
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.key() == version);
  CHECK(f.store.rows().published_version == version);
}

TEST_CASE("eviction: a pending entry of a vanished session is dropped") {
  Fixture f;
  f.redis.go_away();
  const Version version = f.change();
  f.evict();
  f.redis.come_back();
  const std::size_t attempts = f.redis.attempts();
  // The session is away: it publishes nothing any more, whoever asks it.
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.attempts() == attempts);
  // Somebody else's drainer has taken it from the outbox meanwhile: nothing is left for the session that comes back.
  f.store.edit([&](FakeStore::Rows& rows) { rows.published_version = version; });
  REQUIRE(f.eviction.revive().ok());
  CHECK(f.peer.publisher.drain(0).ok());
  CHECK(f.redis.attempts() == attempts);
}

TEST_CASE("eviction: who settles gives up when the mount is used again, and keeps its session") {
  Fixture f;
  f.redis.go_away();
  f.change();
  CHECK(f.eviction.settle([] { return false; }).code() == EAGAIN);
  CHECK_FALSE(f.eviction.left_unpublished());
  CHECK(f.leases.session(f.peer.self));
}

TEST_CASE("eviction: a revived session sees what others wrote meanwhile") {
  Fixture f;
  f.change();
  const std::int64_t before = f.peer.mtime(kRootIno);
  f.evict();
  f.other.may_write();
  f.other.touch(kRootIno);
  const Version version = f.other.commit();
  REQUIRE(f.eviction.revive().ok());
  CHECK(f.running);
  CHECK(f.leases.session(f.peer.self));
  CHECK(f.peer.seen() == f.other.seen());
  CHECK(f.peer.seen().version == version);
  CHECK(f.peer.mtime(kRootIno) == before + 1);
  // And writes again.
  CHECK(f.change() == version + 1);
}

TEST_CASE("eviction: a database that is away fails the revival, and a later one works") {
  Fixture f;
  f.evict();
  f.leases.fail(EIO);
  CHECK(f.eviction.revive().code() == EIO);
  CHECK_FALSE(f.running);
  CHECK(f.disconnected == 2);
  CHECK_FALSE(f.peer.state.destroyed);
  f.leases.recover();
  CHECK(f.eviction.revive().ok());
  CHECK(f.running);
}

TEST_CASE("eviction: under a quota the revived session knows what the others have used") {
  Fixture f;
  f.store.edit([](FakeStore::Rows& rows) { rows.usage.quota_inodes = 100; });
  REQUIRE(f.peer.adoption.read_usage().ok());
  f.evict();
  f.store.edit([](FakeStore::Rows& rows) { rows.usage.used_inodes = 99; });
  f.store.fail_loads(EIO);
  CHECK(f.eviction.revive().code() == EIO);
  CHECK_FALSE(f.running);
  REQUIRE(f.eviction.revive().ok());
  MutexLock lock(f.peer.state.mu);
  CHECK(f.peer.state.usage.used_inodes == 99);
}

TEST_CASE("eviction: a sandbox that was destroyed meanwhile answers ESTALE and ends the mount, once") {
  Fixture f;
  f.evict();
  f.store.destroy();
  CHECK(f.eviction.revive().code() == ESTALE);
  CHECK(f.peer.state.destroyed);
  CHECK(f.destroyed == 1);
  CHECK(f.eviction.revive().code() == ESTALE);
  CHECK(f.destroyed == 1);
  CHECK_FALSE(f.running);
}
