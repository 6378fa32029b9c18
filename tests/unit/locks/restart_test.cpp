// The database crashed and has forgotten what it had not flushed.
#include "locks_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// The test renews; nobody waits for a database that has to settle.
LockOptions quiet() {
  LockOptions out = impatient();
  out.lease_ns = 3600 * kSecondNs;
  return out;
}

}  // namespace

TEST_CASE("locks: after a crash of the database nothing is granted before whoever held something has said what") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, quiet()), b(rows, redis, quiet());
  CHECK(a.set(a.call(kExclusive, 1, 0, 9)) == 0);
  CHECK(a.set(a.flock(kShared)) == 0);
  rows.crash();
  CHECK(b.set(b.call(kExclusive)) == EAGAIN);
  CHECK(b.set(b.call(kExclusive, 1, 0, 9, 6)) == EAGAIN);  // a might hold that, too
  CHECK(rows.granted(a.self, 5).empty());
  CHECK(a.locks.confirm().ok());
  CHECK(rows.calls("claim") == 1);
  CHECK(rows.granted(a.self, 5).size() == 2);
  CHECK(a.lost == 0);
  CHECK(b.set(b.call(kExclusive)) == EAGAIN);
  CHECK(b.set(b.call(kExclusive, 1, 10, 19)) == 0);
}

TEST_CASE("locks: the first call after a crash claims what is held, then is carried out") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, quiet()), b(rows, redis, quiet());
  CHECK(a.set(a.call(kExclusive, 1, 0, 9)) == 0);
  rows.crash();
  CHECK(a.set(a.call(kExclusive, 1, 20, 29)) == 0);
  CHECK(rows.granted(a.self, 5).size() == 2);
  CHECK(b.set(b.call(kExclusive, 1, 0, 0)) == EAGAIN);
  rows.crash();
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(rows.granted(a.self, 5).empty());
  CHECK(rows.calls("claim") == 2);
}

TEST_CASE("locks: who is dead claims nothing, and is not waited for") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, quiet()), b(rows, redis, quiet());
  CHECK(a.set(a.call(kExclusive)) == 0);
  rows.crash();
  b.dead = a.self;
  CHECK(b.set(b.call(kExclusive)) == 0);
  CHECK(a.locks.confirm().ok());
  CHECK(a.lost == 1);
}

TEST_CASE("locks: what a crash overtook on its way to the session is asked for again") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis, quiet()), b(rows, redis, quiet());
  CHECK(a.set(a.call(kExclusive, 1, 0, 9)) == 0);
  // The answer to this call is lost with the crash; the claim does not name it.
  rows.fail_after(EIO);
  CHECK(a.set(a.call(kExclusive, 2, 20, 29)) == EIO);
  rows.recover();
  rows.crash();
  CHECK(eventually([&] { return a.set(a.call(kExclusive, 2, 20, 29)) == 0; }));  // the keeper lets it go first
  CHECK(rows.granted(a.self, 5).size() == 2);
}

TEST_CASE("locks: who waits when the database crashes waits on, and gets the lock when it is let go") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  Parked parked = b.wait(b.call(kExclusive));
  REQUIRE(parked.waiter);
  rows.crash();
  CHECK(a.locks.confirm().ok());
  CHECK(*parked.result == -1);
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(parked.ends_with(0));
}
