#include <doctest/doctest.h>

#include <thread>

#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

CommitOutcome try_commit(StoreFixture& box, Batch batch) {
  batch.id = Uuid::random();
  return box.sink.commit(batch, box.terms);
}

std::size_t rows(const StoreFixture& box, const std::string& table) {
  return PostgresFixture::shared()
      .query("SELECT 1 FROM sboxfs." + table + " WHERE sandbox = '" + box.id.text() + "'")
      .size();
}

}  // namespace

TEST_CASE("commit: what it costs to remove names does not grow with the table, also where that has just grown") {
  StoreFixture box;
  box.take_lease();
  box.commit(batch_of({}, {entry(1, 1, "first", 10)}));
  Batch first;
  first.unlinked = {{1, 1, "first"}};
  box.commit(first);  // planned while there was nothing
  constexpr std::uint64_t kMany = 60'000;
  std::vector<Dirent> names;
  Batch removed;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    names.push_back(entry(1, i, std::to_string(i), 10));
    removed.unlinked.push_back({1, i, std::to_string(i)});
  }
  box.commit(batch_of({}, std::move(names)));
  box.commit(removed);  // comparing each with each would take longer than a statement may
  CHECK(rows(box, "dirents") == 0);
}

TEST_CASE("commit: rows are replaced, removed and added, each kind") {
  StoreFixture box;
  box.take_lease();
  const std::string data = "hello";
  REQUIRE(box.sink.upload(std::vector<BlobPut>{{sha256(data), std::make_shared<const std::string>(data)}}).ok());
  Batch first = batch_of({file(10, 5), file(11)}, {entry(1, 5, "a", 10), entry(1, 6, "b", 11)});
  first.chunks = {chunk(10, 0, data), chunk(10, 1, data), chunk(10, 7, data), chunk(11, 0, data)};
  first.patches = {{10, 2, 1, 0, "p"}, {10, 8, 1, 0, "p"}, {11, 3, 1, 0, "q"}};
  first.xattrs = {{10, "user.a", "1", false}, {10, "user.b", std::string("\0x", 2), false}};
  first.ranges = {{10, {{0, 1}}}, {11, {{5, 6}, {8, 9}}}};
  first.used_blocks = 7;
  first.used_inodes = 2;
  box.commit(first);

  Batch second = batch_of({file(10, 77)}, {entry(1, 5, "a", 11)});
  second.unlinked = {{1, 6, "b"}};
  second.cuts = {{10, 7}};
  second.chunks = {{10, 1, Hash{}, 0, nullptr}, {10, 2, sha256(data), 3, nullptr}, {10, 9, sha256(data), 1, nullptr}};
  second.patches = {{10, 0, 5, 2, "r"}};
  second.xattrs = {{10, "user.a", "2", false}, {10, "user.b", "", true}, {10, "user.c", "", false}};
  second.ranges = {{11, {}}};
  second.used_blocks = -3;
  second.used_inodes = -1;
  box.commit(second);

  CHECK(box.loader.inode(10)->inode == file(10, 77));
  const auto listing = box.loader.directory(1, 0, 10);
  REQUIRE(listing->entries.size() == 1);
  CHECK(listing->entries[0].dirent == entry(1, 5, "a", 11));
  const auto chunks = box.loader.chunks(10, 0, 100);
  REQUIRE(chunks->chunks.size() == 3);
  CHECK(chunks->chunks[0] == Chunk{0, sha256(data), 5, {{3, 2, "r"}}});
  CHECK(chunks->chunks[1] == Chunk{2, sha256(data), 3, {}});
  CHECK(chunks->chunks[2] == Chunk{9, sha256(data), 1, {}});
  CHECK(chunks->ranges == std::vector<Range>{{0, 1}});
  CHECK(box.loader.chunks(11, 0, 9)->chunks.size() == 2);
  CHECK(box.loader.chunks(11, 0, 9)->ranges.empty());
  CHECK(box.loader.xattrs(10)->xattrs == std::vector<Xattr>{{"user.a", "2"}, {"user.c", ""}});
  CHECK(box.loader.facts()->usage.used_blocks == 4);
  CHECK(box.loader.facts()->usage.used_inodes == 2);
  CHECK(rows(box, "patches") == 2);
}

TEST_CASE("commit: one round trip renews the lease and advances what was published") {
  StoreFixture box;
  box.take_lease();
  Batch batch = batch_of({file(10)});
  batch.id = Uuid::random();
  box.terms.published_version = 99;  // more than there is: capped below the new version
  const auto outcome = box.sink.commit(batch, box.terms);
  REQUIRE(outcome.state == CommitState::committed);
  CHECK(outcome.published_version == 1);
  box.terms.base = outcome.stamp;
  box.terms.lease_ns = 3600 * kSecondNs;
  box.commit(batch_of({file(11)}));
  CHECK(box.lease.look()->left_ns > 3500 * kSecondNs);
  CHECK(box.sink.published(3).ok());
  CHECK(box.sink.published(2).ok());
  CHECK(box.lease.look()->published_version == 3);
  CHECK(box.sink.published(9).ok());
  CHECK(box.lease.look()->published_version == 3);
}

TEST_CASE("commit: a stale epoch or base is fenced and leaves nothing behind") {
  StoreFixture box;
  box.take_lease();
  const Batch batch = batch_of({file(10)}, {entry(1, 5, "a", 10)});
  CommitTerms good = box.terms;
  box.terms.epoch = 0;
  CHECK(try_commit(box, batch).state == CommitState::fenced);
  box.terms = good;
  box.terms.base.version = 7;
  CHECK(try_commit(box, batch).state == CommitState::fenced);
  box.terms = good;
  box.terms.base.batch = Uuid::random();
  CHECK(try_commit(box, batch).state == CommitState::fenced);
  CHECK(rows(box, "inodes") == 1);
  CHECK(rows(box, "dirents") == 0);
  CHECK(rows(box, "changes") == 1);
  box.terms = good;
  box.commit(batch);
}

TEST_CASE("commit: who is too late is fenced, not told of a duplicate, when both have patched one chunk on one base") {
  StoreFixture box;
  box.take_lease();
  box.commit(batch_of({file(10)}, {entry(1, 5, "a", 10)}));
  const CommitTerms before = box.terms;
  Batch patch;
  patch.patches = {{10, 0, 1, 0, "x"}};
  box.commit(patch);
  box.terms = before;
  CHECK(try_commit(box, patch).state == CommitState::fenced);
  ++box.terms.epoch;
  CHECK(try_commit(box, patch).state == CommitState::fenced);
}

TEST_CASE("commit: a destroyed sandbox takes no commit, and loads are ESTALE") {
  StoreFixture box;
  box.take_lease();
  REQUIRE(destroy_sandbox(*box.pool, box.tenant, box.id).ok());
  CHECK(try_commit(box, batch_of({file(10)})).state == CommitState::destroyed);
  CHECK(box.loader.inode(1).code() == ESTALE);
  CHECK(box.loader.changes(1)->destroyed);
  CHECK(box.lease.look()->destroyed);
  CHECK(box.lease.look()->epoch == box.terms.epoch + 1);
  CHECK(box.sink.look_up(Uuid::random(), box.terms).state == CommitState::destroyed);
}

TEST_CASE("commit: looked up by its batch, it is found, not applied, or fenced; tried again, it is applied once") {
  StoreFixture box;
  box.take_lease();
  Batch batch = batch_of({file(10)});
  batch.id = Uuid::random();
  CHECK(box.sink.look_up(batch.id, box.terms).state == CommitState::not_applied);
  const auto outcome = box.sink.commit(batch, box.terms);
  REQUIRE(outcome.state == CommitState::committed);
  const auto found = box.sink.look_up(batch.id, box.terms);
  CHECK(found.state == CommitState::committed);
  CHECK(found.stamp == outcome.stamp);
  const auto again = box.sink.commit(batch, box.terms);  // its first try was applied behind the answer
  CHECK(again.state == CommitState::committed);
  CHECK(again.stamp == outcome.stamp);
  CHECK(box.loader.facts()->stamp == outcome.stamp);
  CHECK(box.sink.look_up(Uuid::random(), box.terms).state == CommitState::fenced);
}

TEST_CASE("commit: a backend killed while it waits for the row's lock is in doubt, and then found not applied") {
  StoreFixture box;
  box.take_lease();
  static constexpr PgStatement kBegin{"begin", "BEGIN"};
  static constexpr PgStatement kLock{"lock", "SELECT pg_backend_pid() FROM sboxfs.sandboxes WHERE id = $1 FOR UPDATE"};
  static constexpr PgStatement kRollback{"rollback", "ROLLBACK"};
  auto acquired = box.pool->acquire(box.pool->deadline());
  const PgPool::Loan& blocker = *std::get_if<0>(&acquired);
  PgParams id;
  id.uuid(box.id);
  REQUIRE(blocker->run(kBegin, {}, box.pool->deadline()).ok());
  REQUIRE(blocker->run(kLock, id, box.pool->deadline()).ok());
  Batch batch = batch_of({file(10)});
  batch.id = Uuid::random();
  CommitOutcome outcome;
  std::thread committer([&] { outcome = box.sink.commit(batch, box.terms); });
  auto& server = PostgresFixture::shared();
  while (
      server
          .query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE "
                 "'%commit_batch%' AND usename = 'sboxfs_t_default'")
          .empty()) {
    std::this_thread::yield();
  }
  committer.join();
  REQUIRE(blocker->run(kRollback, {}, box.pool->deadline()).ok());
  CHECK(outcome.state == CommitState::in_doubt);
  CHECK(box.sink.look_up(batch.id, box.terms).state == CommitState::not_applied);
  box.commit(batch);
}

TEST_CASE("commit: inodes that lost their last name go at once when nobody else is there, else become orphans") {
  StoreFixture box;
  box.take_lease();
  REQUIRE(box.lease.open_session("here", "/mnt", 30 * kSecondNs).ok());
  Batch batch = batch_of({file(10), file(11), file(12), file(13)}, {});
  batch.patches = {{10, 0, 1, 0, "x"}};
  batch.xattrs = {{10, "user.a", "1", false}};
  box.commit(batch);
  Batch gone;
  gone.gone = {10};
  box.commit(gone);
  CHECK(!box.loader.inode(10)->inode);
  CHECK(rows(box, "patches") == 0);
  CHECK(rows(box, "xattrs") == 0);
  CHECK(rows(box, "chunks") == 0);

  PgLeaseStore other(box.other_session());
  REQUIRE(other.open_session("there", "/mnt", 30 * kSecondNs).ok());
  gone.gone = {11};
  gone.orphans = {12};
  box.commit(gone);
  CHECK(box.loader.inode(11)->inode);
  CHECK(rows(box, "orphans") == 2);
  CHECK(rows(box, "pins") == 1);
  Batch closed;
  closed.unpinned = {12};
  box.commit(closed);
  CHECK(rows(box, "pins") == 0);

  REQUIRE(other.open_session("there", "/mnt", 0).ok());  // dead at once
  gone.gone = {13};
  gone.orphans = {};
  box.commit(gone);
  CHECK(!box.loader.inode(13)->inode);
}

TEST_CASE("commit: 500 small files") {
  StoreFixture box;
  box.take_lease();
  auto& server = PostgresFixture::shared();
  const auto wal = [&] { return std::stoll(server.query("SELECT pg_current_wal_insert_lsn() - '0/0'").at(0)); };
  for (int round = 0; round < 3; ++round) {
    Batch batch;
    std::vector<BlobPut> blobs;
    for (Ino i = 0; i < 500; ++i) {
      const Ino ino = 1000U * static_cast<Ino>(round + 1) + i;
      std::string data(4000, '\0');
      random_bytes(data.data(), data.size());
      batch.inodes.push_back(file(ino, data.size()));
      batch.dirents.push_back(entry(1, ino * 7919, "file" + std::to_string(ino), ino));
      batch.chunks.push_back(chunk(ino, 0, data));
      batch.delta.names.push_back({1, batch.dirents.back().name});
      blobs.push_back({batch.chunks.back().blob, batch.chunks.back().data});
    }
    const SystemClock clock;
    if (round == 0) server.query("CHECKPOINT");  // the first one pays for full pages
    const auto wal0 = wal();
    const auto t0 = clock.monotonic_ns();
    REQUIRE(box.sink.upload(blobs).ok());
    const auto t1 = clock.monotonic_ns();
    const auto wal1 = wal();
    const auto t2 = clock.monotonic_ns();
    box.commit(batch);
    const auto t3 = clock.monotonic_ns();
    MESSAGE("upload of 2 MB: ", (t1 - t0) / 1000, " us, WAL ", wal1 - wal0, "; commit of 500 files: ", (t3 - t2) / 1000,
            " us, WAL ", wal() - wal1);
  }
  CHECK(box.loader.directory(1, 0, 10000)->entries.size() == 1500);
}
