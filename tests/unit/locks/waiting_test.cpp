#include <thread>

#include "locks_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

TEST_CASE("locks: a request that waits is granted by news, and without Redis by asking again") {
  FakeRedis redis;
  FakeLockRows rows;
  LockOptions slow;
  slow.look_ns = 3600 * kSecondNs;
  slow.poll_ns = 2 * kMillisecondNs;
  Peer a(rows, redis, slow), b(rows, redis, slow);
  CHECK(a.set(a.call(kExclusive)) == 0);
  const Parked first = b.wait(b.call(kExclusive));
  CHECK(*first.result == -1);
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(first.ends_with(0));
  CHECK(b.refreshes == 1);
  redis.go_away();
  const Parked second = a.wait(a.call(kShared));
  CHECK(*second.result == -1);
  CHECK(b.set(b.call(kNone)) == 0);
  CHECK(second.ends_with(0));
}

TEST_CASE("locks: many of one mount wait for each other, one call a turn") {
  FakeRedis redis;
  FakeLockRows rows;
  LockOptions slow;
  slow.look_ns = 3600 * kSecondNs;
  Peer a(rows, redis, slow);
  constexpr int kMany = 300;
  CHECK(a.set(a.flock(kExclusive, 1)) == 0);
  std::vector<Parked> waiting;
  for (int i = 2; i <= kMany; ++i) waiting.push_back(a.wait(a.flock(kExclusive, i)));
  CHECK(eventually([&] { return rows.waiting() == kMany - 1; }));
  const std::size_t before = rows.calls("set");
  std::uint64_t holder = 1;
  for (int i = 2; i <= kMany; ++i) {
    CHECK(a.set(a.flock(kNone, holder)) == 0);
    std::size_t granted = 0;
    REQUIRE(eventually([&] {
      for (granted = 0; granted < waiting.size() && *waiting[granted].result == -1;) ++granted;
      return granted < waiting.size();
    }));
    CHECK(*waiting[granted].result == 0);
    holder = waiting[granted].waiter->call.target.owner;
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(granted));
  }
  CHECK(waiting.empty());
  CHECK(rows.calls("set") - before <= 3 * kMany);
  MESSAGE(kMany, " owners, ", rows.calls("set") - before, " calls");
}

TEST_CASE("locks: a circle is EDEADLK for its last link, of two sessions and inside one") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive, 1, 0, 0)) == 0);
  CHECK(b.set(b.call(kExclusive, 1, 1, 1)) == 0);
  const Parked left = a.wait(a.call(kExclusive, 1, 1, 1));
  CHECK(*left.result == -1);
  CHECK(*b.wait(b.call(kExclusive, 1, 0, 0)).result == EDEADLK);
  CHECK(b.set(b.call(kNone)) == 0);
  CHECK(left.ends_with(0));
  CHECK(a.set(a.call(kNone)) == 0);

  CHECK(a.set(a.call(kExclusive, 1, 0, 0)) == 0);
  CHECK(a.set(a.call(kExclusive, 2, 1, 1)) == 0);
  const Parked inside = a.wait(a.call(kExclusive, 1, 1, 1));
  CHECK(*a.wait(a.call(kExclusive, 2, 0, 0)).result == EDEADLK);
  CHECK(*inside.result == -1);
}

TEST_CASE("locks: both waiters at once: exactly one of them is EDEADLK") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  for (int round = 0; round < 100; ++round) {
    CHECK(a.set(a.call(kExclusive, 1, 0, 0)) == 0);
    CHECK(b.set(b.call(kExclusive, 1, 1, 1)) == 0);
    Parked left;
    std::thread other([&] { left = a.wait(a.call(kExclusive, 1, 1, 1)); });
    const Parked right = b.wait(b.call(kExclusive, 1, 0, 0));
    other.join();
    REQUIRE((*left.result == EDEADLK) != (*right.result == EDEADLK));
    Peer& refused = *left.result == EDEADLK ? a : b;
    CHECK(refused.set(refused.call(kNone)) == 0);
    CHECK((*left.result == EDEADLK ? right : left).ends_with(0));
    CHECK(a.set(a.call(kNone)) == 0);
    CHECK(b.set(b.call(kNone)) == 0);
  }
}

TEST_CASE("locks: a flock that waits to be converted has let the old one go") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.flock(kShared)) == 0);
  CHECK(b.set(b.flock(kShared)) == 0);
  const Parked left = a.wait(a.flock(kExclusive));
  CHECK(*left.result == -1);
  CHECK(*b.wait(b.flock(kExclusive)).result == 0);
  CHECK(b.set(b.flock(kNone)) == 0);
  CHECK(left.ends_with(0));
}

TEST_CASE("locks: a request that is given up is answered once, leaves no word behind, and gets no late grant") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  const Parked waiting = b.wait(b.call(kExclusive));
  CHECK(b.locks.give_up(waiting.waiter));
  CHECK(!b.locks.give_up(waiting.waiter));
  CHECK(eventually([&] { return rows.waiting() == 0; }));
  CHECK(a.set(a.call(kNone)) == 0);
  CHECK(*waiting.result == -1);
  // Given up before it is parked.
  const auto early = std::make_shared<LockWaiter>(b.call(kExclusive), [](const Status&) { FAIL("answered twice"); });
  CHECK(b.locks.give_up(early));
  CHECK(!b.locks.park(early));
  // Given up while the database is granting it.
  CHECK(a.set(a.call(kExclusive)) == 0);
  const Parked late = b.wait(b.call(kExclusive));
  CHECK(eventually([&] { return rows.waiting() == 1; }));
  CHECK(a.set(a.call(kNone)) == 0);
  const bool given_up = b.locks.give_up(late.waiter);
  CHECK(eventually(
      [&] { return given_up ? rows.granted(b.self, 5).empty() && rows.waiting() == 0 : *late.result == 0; }));
}

TEST_CASE("locks: a request that waits can be given up while the database hangs") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  const Parked waiting = b.wait(b.call(kExclusive));
  rows.hold();
  rows.wait_for_held();
  CHECK(b.locks.give_up(waiting.waiter));
  rows.let_go();
  CHECK(eventually([&] { return rows.waiting() == 0; }));
}

TEST_CASE("locks: what waits when the mount goes is told so, and what comes then") {
  FakeRedis redis;
  FakeLockRows rows;
  Peer a(rows, redis), b(rows, redis);
  CHECK(a.set(a.call(kExclusive)) == 0);
  CHECK(b.set(b.flock(kExclusive)) == 0);
  const Parked waiting = b.wait(b.call(kExclusive));
  b.locks.refuse();
  CHECK(waiting.ends_with(ENOTCONN));
  CHECK(*b.wait(b.call(kExclusive)).result == ENOTCONN);
  CHECK(b.locks.held() == 1);
  CHECK(b.set(b.flock(kNone)) == 0);
}
