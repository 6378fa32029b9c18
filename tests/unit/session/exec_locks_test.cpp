#include "exec_locks.hpp"

#include <thread>

#include "locks_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr std::int64_t kLong = 60 * kSecondNs;

bool never() { return false; }

LockOptions quiet() {
  LockOptions options;
  options.lease_ns = 3600 * kSecondNs;  // the test renews
  return options;
}

/// One host's session: `sboxfs exec` asks it for the exec lock.
struct Host {
  Host(FakeLockRows& rows, FakeRedis& redis, LockOptions options = quiet())
      : peer(rows, redis, options), execs(peer.locks) {
    peer.on_lost = [this](const std::vector<LockTarget>& gone) { execs.on_lost(gone); };
  }
  Result<std::uint64_t> take(bool exclusive, std::int64_t timeout_ns = kLong) {
    return execs.take(exclusive, timeout_ns, never);
  }

  Peer peer;
  ExecLocks execs;
};

struct Fixture {
  FakeRedis redis;
  FakeLockRows rows;
  Host here{rows, redis};
  Host there{rows, redis};
};

}  // namespace

TEST_CASE("exec locks: readers side by side, a writer alone, on two hosts and on one") {
  Fixture f;
  const auto first = f.here.take(false);
  const auto second = f.there.take(false);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(f.there.take(true, 0).code() == ETIMEDOUT);
  f.here.execs.release(*first);
  CHECK(f.here.take(true, 0).code() == ETIMEDOUT);
  f.there.execs.release(*second);
  const auto writer = f.here.take(true);
  REQUIRE(writer.ok());
  CHECK(f.here.take(true, 0).code() == ETIMEDOUT);
  CHECK(f.here.take(false, 0).code() == ETIMEDOUT);
  CHECK(f.there.take(false, 0).code() == ETIMEDOUT);
  f.here.execs.release(*writer);
  CHECK(f.there.take(true).ok());
}

TEST_CASE("exec locks: who waits gets it when it is let go, and a request that was given up leaves nothing behind") {
  Fixture f;
  const auto held = f.here.take(true);
  REQUIRE(held.ok());
  std::atomic<bool> cancelled{false};
  std::atomic<int> given_up{0};
  std::thread impatient([&] { given_up = f.there.execs.take(true, kLong, [&] { return cancelled.load(); }).code(); });
  CHECK(eventually([&] { return f.rows.waiting() == 1; }));
  cancelled = true;
  impatient.join();
  CHECK(given_up == EINTR);
  CHECK(eventually([&] { return f.rows.waiting() == 0; }));
  std::atomic<bool> granted{false};
  std::thread waiter([&] { granted = f.there.take(true).ok(); });
  CHECK(eventually([&] { return f.rows.waiting() == 1; }));
  CHECK_FALSE(granted);
  f.here.execs.release(*held);
  waiter.join();
  CHECK(granted);
  CHECK(f.here.take(true, 0).code() == ETIMEDOUT);
}

TEST_CASE("exec locks: a lock that was taken away keeps the session from writing until its command has gone") {
  Fixture f;
  const auto held = f.here.take(true);
  REQUIRE(held.ok());
  CHECK(f.here.execs.may_write().ok());
  CHECK_FALSE(f.here.execs.lost(*held));
  f.rows.expire(f.here.peer.self);
  REQUIRE(f.there.take(true).ok());
  CHECK(f.here.peer.locks.confirm().ok());
  CHECK(f.here.execs.lost(*held));
  CHECK(f.here.execs.may_write().code() == EIO);
  CHECK(f.there.execs.may_write().ok());
  f.here.execs.release(*held);
  CHECK_FALSE(f.here.execs.lost(*held));
  CHECK(f.here.execs.may_write().ok());
}

TEST_CASE("exec locks: a file's lock that was taken away does not stop the execs") {
  Fixture f;
  REQUIRE(f.here.peer.set(f.here.peer.call(kExclusive)) == 0);
  f.rows.expire(f.here.peer.self);
  REQUIRE(f.there.peer.set(f.there.peer.call(kExclusive)) == 0);
  CHECK(f.here.peer.locks.confirm().ok());
  CHECK(f.here.peer.lost == 1);
  CHECK(f.here.execs.may_write().ok());
}

TEST_CASE("exec locks: a database that is away is an error, and no lock") {
  Fixture f;
  Host hasty(f.rows, f.redis, impatient());
  f.rows.fail(EIO);
  CHECK(hasty.take(true, 0).code() == EIO);
  f.rows.recover();
  CHECK(f.there.take(true).ok());
  CHECK(hasty.execs.may_write().ok());
}
