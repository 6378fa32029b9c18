// Locks that were not renewed, and sessions that have died.
#include "locks_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

TEST_CASE("locks: a session that is proved dead loses its locks at once") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  CHECK(b.set(b.call(kExclusive)) == EAGAIN);
  b.dead = a.self;
  CHECK(b.set(b.call(kExclusive)) == 0);
}

TEST_CASE("locks: what was taken away is EIO on its files until they are opened again; other files go on") {
  FakeRedis redis;
  FakeLockRows rows;
  LockOptions quiet;
  quiet.lease_ns = 3600 * kSecondNs;  // the test renews
  Peer a(rows, redis, quiet), b(rows, redis, quiet);
  CHECK(a.set(a.call(kExclusive)) == 0);
  CHECK(a.locks.losses() == 0);
  rows.expire(a.self);
  CHECK(b.set(b.call(kExclusive)) == 0);
  CHECK(!a.locks.lost(5, 0));  // not known yet
  CHECK(a.locks.confirm().ok());
  CHECK(a.lost == 1);
  CHECK(a.locks.losses() == 1);
  CHECK(a.locks.held() == 0);
  CHECK(a.locks.lost(5, 0));
  CHECK(!a.locks.lost(6, 0));
  CHECK(!a.locks.lost(5, 1));
  CHECK(a.set(a.call(kExclusive)) == EIO);
  CHECK(a.locks.test(a.call(kExclusive)).code() == EIO);
  CHECK(a.locks.close_owner(5, 1, 1).ok());
  LockCall again = a.call(kExclusive);
  again.losses = 1;
  CHECK(a.set(again) == EAGAIN);
  CHECK(b.set(b.call(kNone)) == 0);
  CHECK(a.set(again) == 0);
  CHECK(a.set(a.call(kExclusive, 1, 0, 9, 6)) == 0);
}

TEST_CASE("locks: a loss that a lock of another file meets is told of there, and that file is locked all the same") {
  FakeRedis redis;
  FakeLockRows rows;
  LockOptions quiet;
  quiet.lease_ns = 3600 * kSecondNs;
  Peer a(rows, redis, quiet), b(rows, redis, quiet);
  CHECK(a.set(a.call(kExclusive)) == 0);
  rows.expire(a.self);
  CHECK(b.set(b.call(kExclusive)) == 0);
  CHECK(a.set(a.call(kExclusive, 1, 0, 9, 6)) == 0);
  CHECK(a.lost == 1);
  CHECK(a.locks.lost(5, 0));
  CHECK(rows.granted(a.self, 6).size() == 1);
}

TEST_CASE("locks: what nobody took away while the database was out of reach is still held") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  rows.expire(a.self);
  rows.fail(EIO);
  CHECK(a.locks.confirm().code() == EIO);
  rows.recover();
  CHECK(a.locks.confirm().ok());
  CHECK(a.lost == 0);
  CHECK(a.locks.held() == 1);
}

TEST_CASE("locks: what is held is renewed every third of the lease, and nothing is asked when nothing is held") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis);
  a.clock.advance(10 * kSecondNs);
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(rows.calls("keep") == 0);
  CHECK(a.set(a.call(kExclusive)) == 0);
  for (std::size_t beats = 1; beats <= 3; ++beats) {
    CHECK(eventually([&] {
      a.clock.advance(10 * kSecondNs);
      return a.set(a.call(kShared)) == 0 && rows.calls("keep") >= beats;
    }));
  }
}
