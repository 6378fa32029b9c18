#include "sboxfs/lease/lease.hpp"

#include <doctest/doctest.h>

#include "fake_lease_store.hpp"
#include "fake_peer.hpp"
#include "sboxfs/base/blocking.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

LeaseOptions quick() {
  LeaseOptions options;
  options.poll_ns = 2 * kMillisecondNs;  // real time: how soon the threads notice that the clock was moved
  return options;
}

/// A session with a lease, connected to Redis.
struct Writer {
  Writer(FakeStore& store, FakeLeases& leases, FakeRedis& redis, const Clock& clock, LeaseHooks hooks = {},
         LeaseOptions options = quick())
      : peer(store, redis, clock),
        rows(leases, peer.self),
        lease(peer.state, peer.committer, rows, peer.bus, peer.adoption, clock, peer.self, options, std::move(hooks)) {
    peer.on_committed = [this](std::int64_t sent_ns) { lease.on_committed(sent_ns); };
    peer.on_lost = [this] { lease.on_lost(); };
    Bus::Listener listener;
    listener.on_news = [this](const News& news) {
      if (news.kind == News::Kind::want_lease || news.kind == News::Kind::lease_free) lease.on_news(news);
    };
    peer.bus.listen(std::move(listener));
    peer.bus.start();
    lease.start();
  }
  ~Writer() {
    peer.bus.stop();
    lease.stop();
  }

  FakePeer peer;
  FakeLeaseStore rows;
  Lease lease;
};

struct Fixture {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases{store, clock};
  Writer one{store, leases, redis, clock};
};

/// A request whose caller can be interrupted.
class Interruptible final : public BlockingObserver {
 public:
  Interruptible() : before_(set_blocking_observer(this)) {}
  ~Interruptible() override { set_blocking_observer(before_); }
  void before_wait() override {}
  void after_wait() override {}
  bool interrupted() const override { return interrupted_; }
  std::atomic<bool> interrupted_{false};

 private:
  BlockingObserver* before_;
};

}  // namespace

TEST_CASE("lease: one question to the database for many waiting workers") {
  Fixture f;
  f.leases.hold_acquires();
  std::atomic<int> granted{0};
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 16; ++i) workers.emplace_back([&] { granted += f.one.lease.acquire().ok() ? 1 : 0; });
    f.leases.wait_for_held_acquire();
    f.leases.let_acquires_go();
  }
  CHECK(granted == 16);
  CHECK(f.leases.calls("acquire") == 1);
  CHECK(f.one.peer.accepts());
  CHECK(f.leases.writer() == f.one.peer.self);
}

TEST_CASE("lease: a failed attempt answers those who waited for it too") {
  Fixture f;
  f.leases.hold_acquires();
  std::atomic<int> failed{0};
  {
    std::vector<std::jthread> workers;
    workers.emplace_back([&] { failed += f.one.lease.acquire().code() == EIO ? 1 : 0; });
    f.leases.wait_for_held_acquire();
    for (int i = 0; i < 4; ++i) workers.emplace_back([&] { failed += f.one.lease.acquire().code() == EIO ? 1 : 0; });
    f.store.fail_loads(EIO, 1000);  // the adoption fails: somebody else has written
    f.store.edit([](FakeStore::Rows& rows) { ++rows.stamp.version; });
    f.leases.let_acquires_go();
  }
  CHECK(failed == 5);
  CHECK_FALSE(f.one.peer.accepts());
  CHECK(f.leases.writer() == std::nullopt);  // what could not be used was given back
}

TEST_CASE("lease: a session that may not write gives it back, and asks again once it may") {
  Fixture f;
  std::atomic<int> refusal{EIO};
  LeaseHooks hooks;
  hooks.may_write = [&] { return refusal == 0 ? Status() : Status(fail(refusal)); };
  Writer barred(f.store, f.leases, f.redis, f.clock, hooks);
  CHECK(barred.lease.acquire().code() == EIO);
  CHECK_FALSE(barred.peer.accepts());
  CHECK(f.leases.writer() == std::nullopt);
  CHECK(f.one.lease.acquire().ok());
  REQUIRE(f.one.lease.give_up().ok());
  refusal = 0;
  CHECK(barred.lease.acquire().ok());
  CHECK(barred.peer.accepts());
}

TEST_CASE("lease: memory equals the granted version before the first change is accepted") {
  Fixture f;
  Writer two(f.store, f.leases, f.redis, f.clock);
  f.one.peer.load(kRootIno);
  REQUIRE(two.lease.acquire().ok());
  const Ino file = two.peer.create("file");
  two.peer.touch(kRootIno);
  two.peer.commit();
  REQUIRE(two.lease.give_up().ok());
  CHECK_FALSE(f.one.peer.seen() == two.peer.seen());
  REQUIRE(f.one.lease.acquire().ok());
  CHECK(f.one.peer.seen() == two.peer.seen());
  CHECK_FALSE(f.one.peer.in_memory(kRootIno));  // its attributes changed
  CHECK(f.one.peer.mtime(file) == 0);
  MutexLock lock(f.one.peer.state.mu);
  CHECK(f.one.peer.state.next_ino < f.one.peer.state.end_ino);
  CHECK(f.one.peer.state.next_ino > file);
}

TEST_CASE("lease: a hand-over commits what was accepted first") {
  Fixture f;
  Writer two(f.store, f.leases, f.redis, f.clock);
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch_and_hang();
  f.clock.advance(20 * kMillisecondNs);  // held for long enough to be given away
  std::atomic<bool> granted{false};
  std::jthread asker([&] {
    REQUIRE(two.lease.acquire().ok());
    granted = true;
  });
  REQUIRE(eventually([&] { return !f.one.peer.accepts(); }));
  CHECK(f.leases.writer() == f.one.peer.self);
  CHECK_FALSE(granted);
  f.store.let_commits_go();
  asker.join();
  CHECK(two.peer.accepts());
  CHECK_FALSE(f.one.peer.accepts());
  CHECK(two.peer.seen() == f.store.rows().stamp);
  CHECK(f.store.batches().size() == 1);
}

TEST_CASE("lease: mapped pages are written back while changes are still accepted") {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases(store, clock);
  FakePeer* peer = nullptr;
  std::atomic<bool> accepted{false};
  LeaseHooks hooks;
  hooks.write_back = [&] {
    accepted = peer->accepts();
    peer->touch(kRootIno);  // the page's WRITE
  };
  Writer one(store, leases, redis, clock, hooks);
  peer = &one.peer;
  REQUIRE(one.lease.acquire().ok());
  REQUIRE(one.lease.give_up().ok());
  CHECK(accepted);
  CHECK(store.batches().size() == 1);
  CHECK(leases.writer() == std::nullopt);
}

TEST_CASE("lease: kept for 10 ms after it was taken, however much others want it") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  News want;
  want.kind = News::Kind::want_lease;
  want.session = Uuid::random();
  f.redis.say(want);
  f.clock.advance(9 * kMillisecondNs);
  // A renewal shows that its thread has looked, knowing that somebody wants it.
  f.redis.go_away();
  const std::size_t before = f.leases.calls("renew");
  REQUIRE(eventually([&] { return f.leases.calls("renew") > before; }));
  CHECK(f.leases.calls("release") == 0);
  f.clock.advance(kMillisecondNs);
  CHECK(eventually([&] { return f.leases.calls("release") == 1; }));
}

TEST_CASE("lease: without Redis the holder finds in the row who wants it") {
  Fixture f;
  f.redis.go_away();
  Writer two(f.store, f.leases, f.redis, f.clock);
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch(kRootIno);
  f.clock.advance(20 * kMillisecondNs);
  REQUIRE(two.lease.acquire().ok());
  CHECK(two.peer.seen() == f.store.rows().stamp);
  CHECK(f.store.batches().size() == 1);
}

TEST_CASE("lease: renewed in time, it goes on beyond its first term") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  for (int i = 0; i < 3; ++i) {
    f.one.lease.on_committed(f.clock.monotonic_ns());  // in use
    const std::size_t before = f.leases.calls("renew");
    f.clock.advance(3 * kSecondNs);
    REQUIRE(eventually([&] { return f.leases.calls("renew") > before; }));
  }
  CHECK(f.one.peer.accepts());
  CHECK(f.leases.writer() == f.one.peer.self);
}

TEST_CASE("lease: a commit renews it for free") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.leases.fail(EIO);
  f.clock.advance(8 * kSecondNs);
  f.one.peer.touch(kRootIno);
  f.one.peer.commit();
  const std::size_t before = f.leases.calls("renew");
  f.clock.advance(8 * kSecondNs);
  REQUIRE(eventually([&] { return f.leases.calls("renew") > before; }));
  CHECK(f.one.peer.accepts());
}

TEST_CASE("lease: who can not renew stops accepting changes before it can expire") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.leases.fail(EIO);
  f.clock.advance(8 * kSecondNs);
  REQUIRE(eventually([&] { return f.leases.calls("renew") > 0; }));
  CHECK(f.one.peer.accepts());
  f.clock.advance(kSecondNs);
  CHECK(eventually([&] { return !f.one.peer.accepts(); }));
  CHECK(f.leases.writer() == f.one.peer.self);  // the database would have let it write for a second more
}

TEST_CASE("lease: a renewal that hangs does not keep it from stopping in time") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.leases.hold_renewals();
  f.clock.advance(4 * kSecondNs);
  f.leases.wait_for_held_renewal();
  CHECK(f.one.peer.accepts());
  f.clock.advance(5 * kSecondNs);
  CHECK(eventually([&] { return !f.one.peer.accepts(); }));
  f.leases.let_renewals_go();
}

TEST_CASE("lease: an expired one that nobody took still commits, and goes on") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch_and_hang();
  f.leases.fail(EIO);
  f.clock.advance(20 * kSecondNs);
  REQUIRE(eventually([&] { return !f.one.peer.accepts(); }));
  CHECK(f.leases.writer() == std::nullopt);
  f.store.let_commits_go();
  CHECK(f.one.peer.committer.sync().ok());
  CHECK(f.one.peer.state.losses == 0);
  f.leases.recover();
  CHECK(f.one.lease.acquire().ok());
  CHECK(f.one.peer.accepts());
}

TEST_CASE("lease: asked for again while a commit is under way, what was accepted stays") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch_and_hang();
  f.leases.fail(EIO);
  f.clock.advance(9 * kSecondNs);
  REQUIRE(eventually([&] { return !f.one.peer.accepts(); }));
  CHECK(f.one.lease.acquire().code() == EIO);
  CHECK(f.one.lease.held());
  CHECK(f.leases.calls("release") == 0);
  f.leases.recover();
  REQUIRE(f.one.lease.acquire().ok());
  CHECK(f.one.peer.accepts());
  f.store.let_commits_go();
  CHECK(f.one.peer.committer.sync().ok());
  CHECK(f.one.peer.state.losses == 0);
}

TEST_CASE("lease: a fenced commit means that it is lost, and the next change takes it anew") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch_and_hang();
  f.leases.steal(Uuid::random());
  f.store.let_commits_go();
  REQUIRE(eventually([&] { return f.one.peer.state.losses == 1; }));
  CHECK(eventually([&] { return !f.one.lease.held(); }));
  CHECK_FALSE(f.one.peer.accepts());
  CHECK(f.one.peer.state.losses == 1);
  CHECK(f.store.batches().empty());
  f.clock.advance(11 * kSecondNs);  // the thief goes away
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch(kRootIno);
  f.one.peer.commit();
  CHECK(f.store.batches().size() == 1);
}

TEST_CASE("lease: granted anew, it waits for what was accepted before somebody else had it") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.one.peer.touch_and_hang();
  f.leases.steal(Uuid::random());
  f.clock.advance(11 * kSecondNs);  // the thief has come and gone
  REQUIRE(eventually([&] { return !f.one.peer.accepts(); }));
  std::atomic<bool> done{false};
  std::jthread other([&] {
    CHECK(f.one.lease.acquire().ok());
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK_FALSE(done);
  f.store.let_commits_go();
  other.join();
  CHECK(f.one.peer.state.losses == 1);
  CHECK(f.store.batches().empty());
}

TEST_CASE("lease: a renewal that finds another holder ends it") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  f.leases.steal(Uuid::random());
  f.clock.advance(4 * kSecondNs);
  CHECK(eventually([&] { return !f.one.lease.held() && !f.one.peer.accepts(); }));
}

TEST_CASE("lease: unused for its whole term, it is given up") {
  Fixture f;
  REQUIRE(f.one.lease.acquire().ok());
  for (int i = 0; i < 4; ++i) {
    const std::size_t before = f.leases.calls("renew");
    f.clock.advance(3 * kSecondNs);
    REQUIRE(eventually([&] { return f.leases.calls("renew") > before || f.leases.calls("release") > 0; }));
  }
  CHECK(eventually([&] { return f.leases.calls("release") == 1; }));
  CHECK(eventually([&] { return !f.one.lease.held(); }));
}

TEST_CASE("lease: waiting for it ends when the caller is interrupted") {
  Fixture f;
  f.leases.steal(Uuid::random());
  std::atomic<Interruptible*> request{nullptr};
  std::atomic<int> code{0};
  std::jthread worker([&] {
    Interruptible self;
    request = &self;
    code = f.one.lease.acquire().code();
  });
  REQUIRE(eventually([&] { return f.leases.calls("acquire") >= 2; }));
  request.load()->interrupted_ = true;
  worker.join();
  CHECK(code == EINTR);
  CHECK_FALSE(f.one.lease.held());
}

TEST_CASE("lease: a holder on this host that has certainly died is not waited for") {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases(store, clock);
  const SessionId dead = Uuid::random();
  leases.steal(dead);
  LeaseHooks hooks;
  hooks.holder_is_dead = [&](const SessionId& holder) { return holder == dead; };
  Writer one(store, leases, redis, clock, hooks);
  REQUIRE(one.lease.acquire().ok());
  CHECK(leases.calls("acquire") == 2);
  CHECK(leases.writer() == one.peer.self);
}

TEST_CASE("lease: more inode numbers only for the holder, once for many workers") {
  Fixture f;
  CHECK(f.one.lease.more_inos().ok());
  CHECK(f.leases.calls("acquire") == 0);  // the call would have taken it
  REQUIRE(f.one.lease.acquire().ok());
  Ino end = 0;
  {
    MutexLock lock(f.one.peer.state.mu);
    end = f.one.peer.state.next_ino = f.one.peer.state.end_ino;
  }
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 8; ++i) workers.emplace_back([&] { CHECK(f.one.lease.more_inos().ok()); });
  }
  CHECK(f.leases.calls("acquire") == 2);
  MutexLock lock(f.one.peer.state.mu);
  CHECK(f.one.peer.state.next_ino >= end);
  CHECK(f.one.peer.state.next_ino < f.one.peer.state.end_ino);
}

TEST_CASE("lease: a read-only session never takes it") {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases(store, clock);
  LeaseOptions options = quick();
  options.read_only = true;
  Writer one(store, leases, redis, clock, {}, options);
  CHECK(one.lease.acquire().code() == EROFS);
  CHECK(leases.calls("acquire") == 0);
}

TEST_CASE("lease: of a destroyed sandbox nobody takes it") {
  Fixture f;
  f.store.destroy();
  CHECK(f.one.lease.acquire().code() == ESTALE);
  CHECK_FALSE(f.one.peer.accepts());
}

TEST_CASE("lease: given back and forth, every change is there and none overlaps") {
  FakeStore store;
  FakeRedis redis;
  const SystemClock clock;
  FakeLeases leases(store, clock);
  LeaseOptions options = quick();
  options.hold_ns = kMillisecondNs;
  Writer one(store, leases, redis, clock, {}, options);
  Writer two(store, leases, redis, clock, {}, options);
  constexpr int kChanges = 30;
  const auto work = [&](Writer& writer) {
    for (int i = 0; i < kChanges;) {
      REQUIRE(writer.lease.acquire().ok());
      writer.peer.load(kRootIno);
      MutexLock lock(writer.peer.state.mu);
      Inode* root = writer.peer.state.tree.find_loaded(kRootIno);
      if (!writer.peer.state.writable || root == nullptr) continue;
      ++root->attr.mtime;
      writer.peer.state.journal.touch(*root);
      writer.peer.state.work.notify_one();
      ++i;
    }
  };
  const std::int64_t before = store.rows().inodes.at(kRootIno).attr.mtime;
  {
    std::jthread first([&] { work(one); });
    std::jthread second([&] { work(two); });
  }
  CHECK(one.lease.give_up().ok());
  CHECK(two.lease.give_up().ok());
  CHECK(store.rows().inodes.at(kRootIno).attr.mtime == before + 2 * kChanges);
  CHECK(one.peer.state.losses == 0);
  CHECK(two.peer.state.losses == 0);
}
