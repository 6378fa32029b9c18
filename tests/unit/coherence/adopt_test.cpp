#include "sboxfs/coherence/adopt.hpp"

#include <doctest/doctest.h>

#include "fake_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakePeer writer{store, redis, clock};
  FakePeer reader{store, redis, clock};

  Fixture() {
    writer.may_write();
    writer.load(kRootIno);
  }
  /// A version without its change rows: whoever is behind must reload.
  void forget_changes() {
    store.edit([](FakeStore::Rows& rows) { rows.changes.clear(); });
  }
};

}  // namespace

TEST_CASE("adoption: what has been seen already costs no query") {
  Fixture f;
  const std::size_t before = f.store.loads("changes");
  CHECK(f.reader.adoption.adopt(f.reader.seen().version).ok());
  CHECK(f.store.loads("changes") == before);
}

TEST_CASE("adoption: several versions are applied in one go, and answers made before are not cacheable") {
  Fixture f;
  f.reader.load(kRootIno);
  const std::uint64_t generation = f.reader.state.generation;
  f.writer.touch(kRootIno);
  f.writer.commit();
  f.writer.create("file");
  const Version version = f.writer.commit();
  const std::size_t before = f.store.loads("changes");
  REQUIRE(f.reader.adoption.adopt(version).ok());
  CHECK(f.store.loads("changes") == before + 1);
  CHECK(f.reader.seen() == f.store.rows().stamp);
  CHECK_FALSE(f.reader.in_memory(kRootIno));
  CHECK(f.reader.state.generation > generation);
  CHECK(f.reader.notifier.newest() == 1);
  CHECK(f.reader.reloads == 0);
}

TEST_CASE("adoption: its own commit, in the database but not settled, is waited for and drops nothing") {
  Fixture f;
  f.store.plan_commit({true, CommitState::in_doubt});
  f.writer.touch(kRootIno);
  REQUIRE(eventually([&] { return f.store.rows().stamp.version == 2; }));
  CHECK(f.writer.adoption.adopt(2).ok());
  CHECK(f.writer.seen() == f.store.rows().stamp);
  CHECK(f.writer.in_memory(kRootIno));
  CHECK(f.writer.notifier.newest() == 0);
  CHECK(f.writer.reloads == 0);
}

TEST_CASE("adoption: a reload does not go back behind a commit that passed by") {
  Fixture f;
  f.forget_changes();
  f.store.when_read("facts", [&] {
    f.writer.touch(kRootIno);
    f.writer.commit();
  });
  REQUIRE(f.writer.adoption.check().ok());
  CHECK(f.writer.seen() == f.store.rows().stamp);
  f.writer.touch(kRootIno);
  f.writer.commit();
  CHECK(f.writer.state.losses == 0);
  CHECK(f.store.batches().size() == 2);
}

TEST_CASE("adoption: changes of ours under which somebody else changed the tree are lost before it is adopted") {
  Fixture f;
  f.reader.load(kRootIno);
  f.writer.touch_and_hang();
  f.store.edit([](FakeStore::Rows& rows) {
    ++rows.epoch;
    rows.stamp = {2, Uuid::random()};
    rows.changes.push_back({rows.stamp, rows.epoch, {}, Delta{{}, {{kRootIno, kChangedAttr, {}}}}});
  });
  std::jthread adopter([&] { CHECK(f.writer.adoption.check().ok()); });
  f.store.let_commits_go();
  adopter.join();
  CHECK(f.writer.state.losses == 1);
  CHECK(f.writer.seen() == f.store.rows().stamp);
}

TEST_CASE("adoption: many at once end with the newest version") {
  Fixture f;
  std::atomic<bool> done{false};
  {
    std::vector<std::jthread> adopters;
    for (int i = 0; i < 4; ++i)
      adopters.emplace_back([&] {
        while (!done) CHECK(f.reader.adoption.check().ok());
      });
    for (int i = 0; i < 50; ++i) {
      f.writer.touch(kRootIno);
      f.writer.commit();
    }
    done = true;
  }
  CHECK(f.reader.adoption.check().ok());
  CHECK(f.reader.seen() == f.store.rows().stamp);
  CHECK(f.reader.reloads == 0);
}

TEST_CASE("adoption: a load that was read before a change does not bring old state back") {
  Fixture f;
  f.store.when_read("inode", [&] {
    f.writer.touch(kRootIno);
    f.writer.commit();
    CHECK(f.reader.adoption.check().ok());
  });
  f.reader.load(kRootIno);
  CHECK(f.reader.mtime(kRootIno) == f.store.rows().inodes.at(kRootIno).attr.mtime);
  CHECK(f.store.loads("inode") >= 3);  // the writer's, the old one, and the one after it
}

TEST_CASE("adoption: a load that is ahead adopts first") {
  Fixture f;
  const Ino file = f.writer.create("file");
  f.writer.commit();
  f.reader.load(file);
  CHECK(f.reader.seen() == f.store.rows().stamp);
}

TEST_CASE("adoption: a sandbox whose row is gone was destroyed") {
  Fixture f;
  f.reader.load(kRootIno);
  f.store.fail_loads(EIO);
  CHECK(f.reader.adoption.check().code() == EIO);
  CHECK_FALSE(f.reader.state.destroyed);
  f.store.fail_loads(ESTALE);
  CHECK(f.reader.adoption.check().code() == ESTALE);
  CHECK(f.reader.state.destroyed);
}
