#include "locks_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;
using Ranges = std::vector<LockRange>;

TEST_CASE("locks: an uncontended lock is one call and one refresh, its end one call") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  CHECK(rows.calls("set") == 1);
  CHECK(a.refreshes == 1);
  CHECK(a.locks.held() == 1);
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(rows.calls("set") == 2);
  CHECK(a.refreshes == 1);
  CHECK(a.locks.held() == 0);
  CHECK(redis.announced().empty());
}

TEST_CASE("locks: two sessions exclude each other, and an upgrade waits for the other reader") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kShared)) == 0);
  CHECK(b.set(b.call(kShared)) == 0);
  CHECK(a.set(a.call(kExclusive)) == EAGAIN);
  const Parked upgrade = a.wait(a.call(kExclusive));
  CHECK(*upgrade.result == -1);
  CHECK(b.set(b.call(kNone)) == 0);
  CHECK(upgrade.ends_with(0));
  CHECK(rows.granted(a.self, 5) == Ranges{{0, kLockEnd, true, 42}});
  CHECK(a.set(a.call(kShared)) == 0);
  CHECK(b.set(b.call(kShared)) == 0);
}

TEST_CASE("locks: ranges split, and F_GETLK names what is in the way") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive, 1, 0, 99)) == 0);
  CHECK(a.set(a.call(kNone, 1, 40, 59)) == 0);
  CHECK(rows.granted(a.self, 5) == Ranges{{0, 39, true, 42}, {60, 99, true, 42}});
  CHECK(b.set(b.call(kExclusive, 1, 40, 59)) == 0);
  const auto found = a.locks.test(a.call(kShared, 1, 30, 70));
  REQUIRE(found.ok());
  REQUIRE(*found);
  CHECK((*found)->range.start == 40);
  CHECK((*found)->range.pid == 0);  // a process of another host
  CHECK(!*a.locks.test(a.call(kExclusive, 1, 0, 39)));
  CHECK(a.locks.test(a.call(kExclusive, 2, 0, 0)).value()->range.pid == 42);  // of this mount
}

TEST_CASE("locks: a descriptor's end lets a process's records go, an open file's end what was locked through it") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive, 1)) == 0);
  CHECK(a.set(a.flock(kExclusive, 1)) == 0);
  CHECK(a.locks.close_owner(5, 2, 1).ok());  // a child with the same open file
  CHECK(b.set(b.call(kShared)) == EAGAIN);
  CHECK(a.locks.close_owner(5, 1, 1).ok());
  CHECK(b.set(b.call(kShared)) == 0);
  CHECK(b.set(b.flock(kShared)) == EAGAIN);
  a.locks.close_handle(5, 1);
  CHECK(eventually([&] { return b.set(b.flock(kShared)) == 0; }));
  CHECK(a.locks.held() == 0);
}

TEST_CASE("locks: who closed a moment ago is waited for by another owner of the same mount that would not wait") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis);
  CHECK(a.set(a.flock(kExclusive, 1)) == 0);
  CHECK(a.locks.close_owner(5, 77, 1).ok());  // FLUSH of the last descriptor; RELEASE is on its way
  std::atomic<int> result{-1};
  std::thread other([&] { result = a.set(a.flock(kExclusive, 2)); });
  CHECK(eventually([&] { return rows.calls("set") >= 2; }));
  a.locks.close_handle(5, 1);
  other.join();
  CHECK(result == 0);
  // A close long ago says nothing.
  CHECK(a.locks.close_owner(5, 77, 2).ok());
  a.clock.advance(kSecondNs);
  CHECK(a.set(a.flock(kExclusive, 3)) == EAGAIN);
}

TEST_CASE("locks: what was written under a lock is committed before it goes, if somebody else is there") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis);
  a.dirty = true;
  CHECK(a.set(a.call(kExclusive)) == 0);
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(a.commits == 0);
  rows.others_live(true);
  CHECK(a.set(a.call(kExclusive)) == 0);
  CHECK(a.set(a.call(kShared)) == 0);
  CHECK(a.commits == 1);
  a.dirty = true;
  CHECK(a.set(a.call(kNone)) == 0);  // under a shared lock nothing is written
  CHECK(a.commits == 1);
}

TEST_CASE("locks: a call that was given up and arrives late grants nothing") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, impatient()), b(rows, redis, impatient());
  rows.delay();
  CHECK(a.set(a.call(kExclusive)) == EIO);
  CHECK(eventually([&] { return rows.calls("set") >= 2; }));  // the keeper has put it right
  CHECK(eventually([&] { return b.set(b.call(kExclusive)) == 0; }));
  CHECK(b.set(b.call(kNone)) == 0);
  rows.arrive_late();
  CHECK(rows.granted(a.self, 5).empty());
  CHECK(b.set(b.call(kExclusive)) == 0);
  CHECK(b.set(b.call(kNone)) == 0);
  CHECK(a.set(a.call(kExclusive)) == 0);
}

TEST_CASE("locks: what can not be committed keeps its lock until it is committed or lost") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, impatient()), b(rows, redis, impatient());
  rows.others_live(true);
  for (const bool lost : {false, true}) {
    CHECK(a.set(a.call(kExclusive)) == 0);
    a.dirty = true;
    a.commit_fails = EIO;
    CHECK(a.set(a.call(kNone)) == EIO);
    CHECK(b.set(b.call(kExclusive)) == EAGAIN);
    if (lost) a.dirty = false;
    if (!lost) a.commit_fails = 0;
    CHECK(eventually([&] { return b.set(b.call(kExclusive)) == 0; }));
    CHECK_FALSE(a.dirty);
    CHECK(b.set(b.call(kNone)) == 0);
  }
}

TEST_CASE("locks: a failed database grants nothing, and what it may have done unheard is taken back") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, impatient()), b(rows, redis, impatient());
  rows.fail(EIO);
  CHECK(a.set(a.call(kExclusive)) == EIO);
  rows.recover();
  rows.fail_after(EIO);
  CHECK(a.set(a.call(kExclusive, 1, 0, 9)) == EIO);
  rows.recover();
  CHECK(eventually([&] { return rows.granted(a.self, 5).empty() && b.set(b.call(kExclusive)) == 0; }));
  // Letting go is made up for, too.
  rows.fail(EIO);
  CHECK(b.set(b.call(kNone)) == EIO);
  rows.recover();
  CHECK(eventually([&] { return a.set(a.call(kExclusive)) == 0; }));
}

TEST_CASE("locks: a grant whose refresh fails is none") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kShared, 1, 0, 9)) == 0);
  a.refresh_fails = EIO;
  CHECK(a.set(a.call(kExclusive)) == EIO);
  CHECK(eventually([&] { return rows.granted(a.self, 5) == Ranges{{0, 9, false, 42}}; }));
  CHECK(b.set(b.call(kShared)) == 0);
}
