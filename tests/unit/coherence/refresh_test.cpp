#include "sboxfs/coherence/refresh.hpp"

#include <doctest/doctest.h>

#include "fake_lease_store.hpp"
#include "fake_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases{store, clock};
  FakePeer writer{store, redis, clock};
  FakePeer reader{store, redis, clock};
  FakeLeaseStore writer_rows{leases, writer.self};
  FakeLeaseStore reader_rows{leases, reader.self};
  std::atomic<int> acquired{0};
  int acquire_code = 0;
  Refresh refresh{reader.state, reader.adoption,  reader_rows,
                  reader.bus,   reader.notifier,  real_clock(),
                  reader.self,  RefreshOptions{}, [this] { return acquire(); }};

  static const Clock& real_clock() {
    static const SystemClock clock;
    return clock;
  }

  Fixture() {
    reader.notifier.start();
    Bus::Listener to_reader;
    to_reader.on_news = [this](const News& news) { refresh.on_news(news); };
    reader.bus.listen(std::move(to_reader));
    reader.bus.start();
    Bus::Listener to_writer;
    to_writer.on_news = [this](const News& news) {
      if (news.kind != News::Kind::refresh) return;
      News answer;
      answer.kind = News::Kind::refreshed;
      answer.session = news.session;
      answer.stamp = news.stamp;
      if (writer.committer.sync().ok()) CHECK(writer.bus.announce(answer).ok());
    };
    writer.bus.listen(std::move(to_writer));
    writer.bus.start();
  }
  ~Fixture() {
    reader.bus.stop();
    writer.bus.stop();
  }

  void writer_takes_lease() {
    const auto answer = writer_rows.acquire(10 * kSecondNs, std::nullopt);
    REQUIRE((answer.ok() && answer->grant));
    MutexLock lock(writer.state.mu);
    writer.state.epoch = answer->grant->epoch;
    writer.state.writable = true;
  }
  Status acquire() {
    ++acquired;
    if (acquire_code != 0) return fail(acquire_code);
    return writer.committer.sync();
  }
};

}  // namespace

TEST_CASE("refresh: what the writer has accepted is committed, adopted, and the kernel knows") {
  Fixture f;
  f.reader.load(kRootIno);
  f.writer_takes_lease();
  f.writer.touch_and_hang();
  std::jthread refresher([&] { CHECK(f.refresh.run().ok()); });
  REQUIRE(eventually([&] { return f.redis.announced().size() == 1; }));
  f.store.let_commits_go();
  refresher.join();
  CHECK(f.reader.seen() == f.store.rows().stamp);
  CHECK(f.store.batches().size() == 1);
  CHECK(f.reader.kernel.heard("attr 1"));
}

TEST_CASE("refresh: one short query when nobody writes and nothing has changed") {
  Fixture f;
  CHECK(f.refresh.run().ok());
  CHECK(f.leases.calls("look") == 1);
  CHECK(f.store.loads("changes") == 0);
  CHECK(f.redis.announced().empty());
}

TEST_CASE("refresh: what somebody has committed who no longer writes is adopted") {
  Fixture f;
  f.reader.load(kRootIno);
  f.writer_takes_lease();
  f.writer.touch(kRootIno);
  f.writer.commit();
  REQUIRE(f.writer_rows.release(f.store.rows().epoch).ok());
  CHECK(f.refresh.run().ok());
  CHECK(f.redis.announced().size() <= 1);  // the release
  CHECK(f.reader.seen() == f.store.rows().stamp);
  CHECK_FALSE(f.reader.in_memory(kRootIno));
}

TEST_CASE("refresh: another history of the same version is not taken for what is in memory") {
  Fixture f;
  f.writer_takes_lease();
  f.writer.touch(kRootIno);
  f.writer.commit();
  REQUIRE(f.writer_rows.release(f.store.rows().epoch).ok());
  REQUIRE(f.refresh.run().ok());
  f.store.edit([](FakeStore::Rows& rows) {
    rows.stamp.batch = Uuid::random();
    rows.changes.clear();
  });
  CHECK(f.refresh.run().ok());
  CHECK(f.reader.seen() == f.store.rows().stamp);
}

TEST_CASE("refresh: who accepts changes asks nobody") {
  Fixture f;
  f.reader.may_write();
  const std::size_t before = f.store.loads("changes");
  CHECK(f.refresh.run().ok());
  CHECK(f.leases.calls("look") == 0);
  CHECK(f.store.loads("changes") == before);
}

TEST_CASE("refresh: it waits for what the kernel has still to be told, also where it writes itself") {
  Fixture f;
  f.reader.may_write();
  f.reader.kernel.hold();
  f.reader.notifier.submit(Delta{{}, {{7, kChangedAttr, {}}}});
  std::atomic<bool> done{false};
  std::jthread refresher([&] {
    CHECK(f.refresh.run().ok());
    CHECK(f.reader.kernel.heard("attr 7"));
    done = true;
  });
  f.reader.kernel.let_go();
  refresher.join();
  CHECK(done);
}

TEST_CASE("refresh: without Redis the lease brings what its holder had accepted") {
  Fixture f;
  f.writer_takes_lease();
  f.redis.go_away();
  f.writer.touch(kRootIno);
  CHECK(f.refresh.run().ok());
  CHECK(f.acquired == 1);
  CHECK(f.reader.seen() == f.store.rows().stamp);
  CHECK(f.store.batches().size() == 1);
  // The lease's own code has asked: nothing here may take or release it behind its back.
  CHECK(f.leases.calls("release") == 0);
  CHECK(f.leases.calls("acquire") == 1);
}

TEST_CASE("refresh: without Redis a read-only session makes the writer commit by wanting the lease") {
  Fixture f;
  f.acquire_code = EROFS;
  f.writer_takes_lease();
  f.redis.go_away();
  f.writer.touch(kRootIno);
  std::jthread refresher([&] { CHECK(f.refresh.run().ok()); });
  REQUIRE(eventually([&] { return f.leases.wanted_by() == f.reader.self; }));
  f.writer.commit();
  REQUIRE(f.writer_rows.release(f.store.rows().epoch).ok());
  refresher.join();
  CHECK(f.reader.seen() == f.store.rows().stamp);
}

TEST_CASE("refresh: a database that is away is an error") {
  Fixture f;
  f.leases.fail(EIO);
  CHECK(f.refresh.run().code() == EIO);
}

TEST_CASE("refresh: the answer to another question does not end it") {
  Fixture f;
  f.reader.load(kRootIno);
  f.writer_takes_lease();
  f.writer.touch_and_hang();
  std::atomic<bool> done{false};
  std::jthread refresher([&] {
    CHECK(f.refresh.run().ok());
    done = true;
  });
  REQUIRE(eventually([&] { return f.redis.announced().size() == 1; }));
  News other;
  other.kind = News::Kind::refreshed;
  other.session = f.reader.self;
  other.stamp.batch = Uuid::random();
  REQUIRE(f.writer.bus.announce(other).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK_FALSE(done);
  f.store.let_commits_go();
  refresher.join();
  CHECK(f.reader.seen() == f.store.rows().stamp);
}
