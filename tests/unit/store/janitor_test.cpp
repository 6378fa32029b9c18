#include "sboxfs/store/janitor.hpp"

#include <doctest/doctest.h>

#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

std::size_t rows(const StoreFixture& box, const std::string& table) {
  return PostgresFixture::shared()
      .query("SELECT 1 FROM sboxfs." + table + " WHERE tenant = '" + box.tenant + "'")
      .size();
}

}  // namespace

TEST_CASE("janitor: an orphan stays while a live session has not seen its end or pins it") {
  StoreFixture box("orphans");
  REQUIRE(box.lease.open_session("a", "/a", 30 * kSecondNs).ok());
  PgLeaseStore other(box.other_session());
  REQUIRE(other.open_session("b", "/b", 30 * kSecondNs).ok());
  box.take_lease();
  Batch batch = batch_of({file(10)});
  batch.patches = {{10, 0, 1, 0, "x"}};
  batch.gone = {10};
  box.commit(batch);  // version 2
  REQUIRE(box.lease.keep_session(2, {}, 30 * kSecondNs).ok());
  CHECK(delete_orphans(*box.pool, box.tenant, 10).value() == 0);  // the other one has not seen version 2
  REQUIRE(other.keep_session(2, std::vector<Ino>{10}, 30 * kSecondNs).ok());
  CHECK(count_garbage(*box.pool, box.tenant)->orphans == 0);
  CHECK(delete_orphans(*box.pool, box.tenant, 10).value() == 0);  // pinned
  REQUIRE(other.keep_session(2, {}, 30 * kSecondNs).ok());
  CHECK(count_garbage(*box.pool, box.tenant)->orphans == 1);
  CHECK(delete_orphans(*box.pool, box.tenant, 10).value() == 1);
  CHECK(delete_orphans(*box.pool, box.tenant, 10).value() == 0);
  CHECK(!box.loader.inode(10)->inode);
  CHECK(rows(box, "chunks") + rows(box, "patches") + rows(box, "orphans") == 0);
}

TEST_CASE("janitor: a dead session holds no orphan, and its rows go after a while") {
  StoreFixture box("dead");
  PgLeaseStore other(box.other_session());
  REQUIRE(other.open_session("b", "/b", 30 * kSecondNs).ok());
  box.take_lease();
  Batch batch = batch_of({file(10)});
  batch.gone = {10};
  box.commit(batch);
  CHECK(delete_orphans(*box.pool, box.tenant, 10).value() == 0);
  REQUIRE(other.keep_session(1, std::vector<Ino>{10}, 0).ok());
  CHECK(delete_orphans(*box.pool, box.tenant, 10).value() == 1);
  CHECK(delete_dead_sessions(*box.pool, box.tenant, 10).value() == 0);  // not for a minute yet
  CHECK(delete_dead_sessions(*box.pool, box.tenant, 10, 0).value() == 1);
  CHECK(rows(box, "sessions") + rows(box, "pins") == 0);
}

TEST_CASE("janitor: blobs die in two phases, and an upload or a new name saves them") {
  StoreFixture box("blobs");
  box.take_lease();
  std::vector<BlobPut> blobs;
  for (const char* text : {"named", "unnamed", "uploaded again", "named again"}) {
    blobs.push_back({sha256(text), std::make_shared<const std::string>(text)});
  }
  REQUIRE(box.sink.upload(blobs).ok());
  Batch batch = batch_of({file(10)});
  batch.chunks = {chunk(10, 0, "named")};
  box.commit(batch);
  Hash from{};
  std::uint64_t marked = 0;
  for (int steps = 0; steps < 5; ++steps) {
    const auto step = mark_dead_blobs(*box.pool, box.tenant, from, 1);
    REQUIRE(step.ok());
    marked += step->marked;
    if (!step->next) break;
    from = *step->next;
  }
  CHECK(marked == 3);
  CHECK(count_garbage(*box.pool, box.tenant)->unnamed_blobs == 3);
  CHECK(delete_dead_blobs(*box.pool, box.tenant, 10).value() == 0);  // an hour has not passed
  REQUIRE(box.sink.upload(std::vector<BlobPut>{blobs[2]}).ok());
  Batch share = batch_of({file(11)});
  share.chunks = {{11, 0, blobs[3].hash, 1, nullptr}};
  box.commit(share);
  CHECK(delete_dead_blobs(*box.pool, box.tenant, 10, 0).value() == 1);
  CHECK(box.loader.blobs(std::vector<Hash>{blobs[1].hash}).code() == EIO);
  CHECK(box.loader.blobs(std::vector<Hash>{blobs[0].hash, blobs[2].hash, blobs[3].hash}).ok());
}

TEST_CASE("janitor: change rows go when they are old and far behind, oldest first") {
  StoreFixture box("changes");
  box.take_lease();
  for (int i = 0; i < 5; ++i) box.commit(batch_of({file(10)}));  // versions 2 to 6
  CHECK(delete_old_changes(*box.pool, box.tenant, 10).value() == 0);
  CHECK(delete_old_changes(*box.pool, box.tenant, 10, 3600 * kSecondNs, 2).value() == 0);  // young
  CHECK(delete_old_changes(*box.pool, box.tenant, 2, 0, 2).value() == 2);
  CHECK(!box.loader.changes(2)->base);
  CHECK(delete_old_changes(*box.pool, box.tenant, 10, 0, 2).value() == 1);
  CHECK(delete_old_changes(*box.pool, box.tenant, 10, 0, 2).value() == 0);
  CHECK(box.loader.changes(4)->changes.size() == 2);
}

TEST_CASE("janitor: a destroyed sandbox goes in bounded steps; its own row last; a living one is left alone") {
  StoreFixture box("purge");
  box.take_lease();
  Batch batch;
  for (Ino ino = 10; ino < 40; ++ino) {
    batch.inodes.push_back(file(ino));
    batch.dirents.push_back(entry(1, ino, std::to_string(ino), ino));
  }
  batch.patches = {{10, 0, 1, 0, "x"}};
  box.commit(batch);
  CHECK(purge_step(*box.pool, box.tenant, box.id, 100).value() == 0);
  REQUIRE(destroy_sandbox(*box.pool, box.tenant, box.id).ok());
  CHECK(count_garbage(*box.pool, box.tenant)->destroyed_sandboxes == 1);
  const auto destroyed = destroyed_sandboxes(*box.pool, box.tenant, 10);
  REQUIRE(destroyed.ok());
  REQUIRE(destroyed->size() == 1);
  CHECK(destroyed->at(0).id == box.id);
  CHECK(!destroyed->at(0).erased);
  CHECK(!forget_sandbox(*box.pool, box.tenant, box.id, 0).value());
  REQUIRE(mark_erased(*box.pool, box.tenant, box.id).ok());
  CHECK(outbox(*box.pool, box.tenant)->empty());
  CHECK(!forget_sandbox(*box.pool, box.tenant, box.id, 0).value());  // rows are left
  int steps = 0;
  for (std::uint64_t deleted = 1; deleted > 0; ++steps) {
    const auto step = purge_step(*box.pool, box.tenant, box.id, 10);
    REQUIRE(step.ok());
    deleted = step.value();
    CHECK(deleted <= 10);
  }
  CHECK(steps > 6);
  for (const char* table : {"inodes", "dirents", "chunks", "patches", "changes", "lock_roots"})
    CHECK(rows(box, table) == 0);
  CHECK(!forget_sandbox(*box.pool, box.tenant, box.id).value());  // not for 60 s
  CHECK(forget_sandbox(*box.pool, box.tenant, box.id, 0).value());
  CHECK(rows(box, "sandboxes") == 0);
}
