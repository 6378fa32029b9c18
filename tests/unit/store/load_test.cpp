#include <doctest/doctest.h>
#include <sys/stat.h>

#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

InodeRecord directory_row(Ino ino, Ino parent) {
  InodeRecord out;
  out.ino = ino;
  out.attr.mode = S_IFDIR | 0755;
  out.attr.nlink = 2;
  out.parent = parent;
  return out;
}

std::vector<std::string> names(const LoadedDir& dir) {
  std::vector<std::string> out;
  for (const Entry& entry : dir.entries) out.push_back(entry.dirent.name);
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("load: a new sandbox has version 1 with its change row, a root and a cookie key") {
  StoreFixture box;
  const auto facts = box.loader.facts();
  REQUIRE(facts.ok());
  CHECK(facts->stamp.version == 1);
  CHECK(facts->usage.used_inodes == 1);
  CHECK(facts->name_key != NameKey{});
  const auto root = box.loader.inode(kRootIno);
  REQUIRE(root.ok());
  REQUIRE(root->inode);
  CHECK(root->stamp == facts->stamp);
  CHECK(root->inode->attr.mode == (S_IFDIR | 0755U));
  CHECK(root->inode->attr.uid == 1000);
  CHECK(root->inode->attr.gid == 0xfffffffe);
  CHECK(root->inode->parent == kRootIno);
  const auto changes = box.loader.changes(1);
  REQUIRE(changes.ok());
  CHECK(changes->base == facts->stamp.batch);
  CHECK(changes->changes.empty());
  CHECK(!box.loader.changes(2)->base);
  CHECK(!box.loader.changes(0)->base);
}

TEST_CASE("load: an unknown sandbox is ESTALE everywhere") {
  StoreFixture box;
  StoreContext nowhere = box.context;
  nowhere.sandbox = Uuid::random();
  PgLoader loader(nowhere);
  CHECK(loader.facts().code() == ESTALE);
  CHECK(loader.inode(1).code() == ESTALE);
  CHECK(loader.name(1, 3).code() == ESTALE);
  CHECK(loader.directory(1, 0, 10).code() == ESTALE);
  CHECK(loader.directories(std::vector<Ino>{1}, 10, 10).code() == ESTALE);
  CHECK(loader.chunks(1, 0, 1).code() == ESTALE);
  CHECK(loader.contents(std::vector<Ino>{1}, 10).code() == ESTALE);
  CHECK(loader.xattrs(1).code() == ESTALE);
  CHECK(loader.changes(1).code() == ESTALE);
}

TEST_CASE("load: inodes and names come back with every field, other bytes in names included") {
  StoreFixture box;
  box.take_lease();
  const std::string odd("\xff\0\n'", 4);
  InodeRecord link = file(11);
  link.attr.mode = S_IFLNK | 0777;
  link.target = odd + "/target";
  box.commit(batch_of({file(10, 5000), link}, {entry(1, kLastCookie, odd, 10), entry(1, kLastCookie, "same", 11)}));
  const auto loaded = box.loader.inode(11);
  REQUIRE(loaded.ok());
  CHECK(loaded->inode == link);
  CHECK(loaded->stamp == box.terms.base);
  CHECK(!box.loader.inode(99)->inode);
  const auto name = box.loader.name(1, kLastCookie);
  REQUIRE(name.ok());
  REQUIRE(name->entries.size() == 2);
  CHECK(box.loader.name(1, 4)->entries.empty());
  CHECK(box.loader.name(1, 4)->stamp == box.terms.base);
  const auto listing = box.loader.directory(1, 0, 100);
  REQUIRE(listing->entries.size() == 2);
  CHECK(listing->entries[1].dirent == entry(1, kLastCookie, odd, 10));
  CHECK(listing->entries[1].inode == file(10, 5000));
  CHECK(listing->complete_to == kLastCookie);
}

TEST_CASE("load: pages never split equal cookies, and say how far they reach") {
  StoreFixture box;
  box.take_lease();
  std::vector<InodeRecord> inodes;
  std::vector<Dirent> dirents;
  const std::uint64_t cookies[] = {5, 6, 6, 6, 9};
  for (Ino i = 0; i < 5; ++i) {
    inodes.push_back(file(10 + i));
    dirents.push_back(entry(1, cookies[i], std::string(1, static_cast<char>('a' + i)), 10 + i));
  }
  box.commit(batch_of(inodes, dirents));
  const auto first = box.loader.directory(1, 0, 2);
  REQUIRE(first.ok());
  CHECK(names(first.value()) == Names{"a", "b", "c", "d"});
  CHECK(first->complete_to == 6);
  CHECK(first->dir->ino == 1);
  const auto second = box.loader.directory(1, first->complete_to + 1, 2);
  CHECK(names(second.value()) == Names{"e"});
  CHECK(second->complete_to == kLastCookie);
  const auto exact = box.loader.directory(1, 0, 5);
  CHECK(exact->entries.size() == 5);
  const auto after = box.loader.directory(1, exact->complete_to + 1, 5);
  CHECK(after->entries.empty());
  CHECK(after->complete_to == kLastCookie);
  CHECK(!box.loader.directory(77, 0, 5)->dir);
}

TEST_CASE("load: several directories at once, whole ones only, in the order asked, within the limits") {
  StoreFixture box;
  box.take_lease();
  Batch batch = batch_of({directory_row(2, 1), directory_row(3, 1), directory_row(4, 1)});
  Ino ino = 10;
  for (Ino dir : {2, 3}) {
    for (std::uint64_t i = 0; i < (dir == 2 ? 3U : 5U); ++i, ++ino) {
      batch.inodes.push_back(file(ino));
      batch.dirents.push_back(entry(dir, 3 + i, "n" + std::to_string(i), ino));
    }
  }
  box.commit(batch);
  const std::vector<Ino> asked{4, 2, 3, 99};
  const auto all = box.loader.directories(asked, 10, 100);
  REQUIRE(all.ok());
  CHECK(all->stamp == box.terms.base);
  REQUIRE(all->dirs.size() == 3);
  CHECK(all->dirs[0].dir->ino == 4);
  CHECK(all->dirs[0].entries.empty());
  CHECK(names(all->dirs[1]) == Names{"n0", "n1", "n2"});
  CHECK(all->dirs[2].entries.size() == 5);
  CHECK(all->dirs[2].complete_to == kLastCookie);
  const auto small = box.loader.directories(asked, 4, 100);  // 3 is too large
  CHECK(small->dirs.size() == 2);
  const auto few = box.loader.directories(asked, 10, 4);  // 3 does not fit any more
  CHECK(few->dirs.size() == 2);
  const auto fits = box.loader.directories(asked, 10, 8);
  CHECK(fits->dirs.size() == 3);
}

TEST_CASE("load: chunks with their patches in order, ranges, and blobs in the order asked") {
  StoreFixture box;
  box.take_lease();
  const std::string text(20000, 'x');  // is compressed
  std::string noise(9000, '\0');
  random_bytes(noise.data(), noise.size());
  const std::vector<BlobPut> blobs{{sha256(text), std::make_shared<const std::string>(text)},
                                   {sha256(noise), std::make_shared<const std::string>(noise)},
                                   {sha256(text), std::make_shared<const std::string>(text)}};
  REQUIRE(box.sink.upload(blobs).ok());
  REQUIRE(box.sink.upload(blobs).ok());
  const std::vector<Hash> hashes{sha256(noise), sha256(text), sha256(noise)};
  const auto read = box.loader.blobs(hashes);
  REQUIRE(read.ok());
  CHECK(read.value() == std::vector<std::string>{noise, text, noise});
  CHECK(box.loader.blobs(std::vector<Hash>{sha256("missing")}).code() == EIO);
  CHECK(PostgresFixture::shared().query("SELECT codec || ':' || size FROM sboxfs.blobs WHERE codec = 1") ==
        std::vector<std::string>{"1:20000"});

  Batch batch = batch_of({file(10, 300000)});
  batch.chunks = {chunk(10, 0, text), chunk(10, 2, noise)};
  batch.patches = {{10, 1, 0x80000000U, 4096, "one"}};
  batch.ranges = {{10, {{131072, 135168}, {200000, 204096}}}};
  box.commit(batch);
  Batch more;
  more.patches = {{10, 1, 0xc0000000U, 5, "two"}};
  box.commit(more);
  const auto loaded = box.loader.chunks(10, 1, 2);
  REQUIRE(loaded.ok());
  REQUIRE(loaded->chunks.size() == 2);
  CHECK(loaded->chunks[0] == Chunk{1, Hash{}, 0xc0000000U, {{2, 4096, "one"}, {3, 5, "two"}}});
  CHECK(loaded->chunks[1] == Chunk{2, sha256(noise), 1, {}});
  CHECK(loaded->ranges == std::vector<Range>{{131072, 135168}, {200000, 204096}});
  CHECK(loaded->stamp == box.terms.base);
  CHECK(loaded->end == 3);
  CHECK(box.loader.chunks(10, 1, 3)->end == kChunksAtMost);
  CHECK(box.loader.chunks(10, 3, 1)->end == kChunksAtMost);
  CHECK(box.loader.chunks(10, 0, 1)->end == 1);
  const auto none = box.loader.chunks(77, 0, 4);
  CHECK(none->chunks.empty());
  CHECK(none->ranges.empty());
}

TEST_CASE("load: contents of many small files at once, in order, up to a number of bytes") {
  StoreFixture box;
  box.take_lease();
  Batch batch;
  std::vector<BlobPut> blobs;
  for (Ino ino = 10; ino < 14; ++ino) {
    const std::string data(1000, static_cast<char>('a' + ino));
    batch.inodes.push_back(file(ino, 1000));
    batch.chunks.push_back(chunk(ino, 0, data));
    blobs.push_back({sha256(data), batch.chunks.back().data});
  }
  batch.chunks.back() = {13, 0, Hash{}, 1, nullptr};  // no blob: zeros
  REQUIRE(box.sink.upload(blobs).ok());
  box.commit(batch);
  Batch patch;
  patch.patches = {{11, 0, 1, 3, "PATCH"}};
  box.commit(patch);
  const auto loaded = box.loader.contents(std::vector<Ino>{11, 99, 13, 10, 12}, 2500);
  REQUIRE(loaded.ok());
  REQUIRE(loaded->files.size() == 3);
  CHECK(loaded->files[0].ino == 11);
  CHECK(loaded->files[0].data == std::string(1000, 'a' + 11));
  CHECK(loaded->files[0].chunk.patches == std::vector<Patch>{{3, 3, "PATCH"}});
  CHECK(loaded->files[1].ino == 13);
  CHECK(loaded->files[1].data.empty());
  CHECK(loaded->files[2].ino == 10);
  CHECK(loaded->stamp == box.terms.base);
}

TEST_CASE("load: change rows say what each version changed, who made it, and whether the base is known") {
  StoreFixture box;
  const Stamp base = box.loader.facts()->stamp;
  box.take_lease();
  Batch batch = batch_of({file(10)}, {entry(1, 5, "a", 10)});
  batch.delta.names = {{1, "a"}};
  batch.delta.inodes = {{10, kChangedData, {{0, 5000}}}};
  box.commit(batch);
  const Stamp second = box.terms.base;
  box.commit(batch);
  const auto changes = box.loader.changes(1);
  REQUIRE(changes.ok());
  CHECK(changes->base == base.batch);
  CHECK(changes->current == box.terms.base);
  CHECK(changes->epoch == 1);
  CHECK(!changes->destroyed);
  REQUIRE(changes->changes.size() == 2);
  CHECK(changes->changes[0].stamp == second);
  CHECK(changes->changes[0].session == box.context.session);
  CHECK(changes->changes[0].epoch == 1);
  CHECK(changes->changes[0].delta == batch.delta);
  CHECK(box.loader.changes(3)->changes.empty());
  CHECK(box.loader.changes(3)->base == box.terms.base.batch);
}

TEST_CASE("load: a directory of 10,000 entries") {
  StoreFixture box;
  box.take_lease();
  Batch batch;
  for (Ino ino = 10; ino < 10010; ++ino) {
    batch.inodes.push_back(file(ino));
    batch.dirents.push_back(entry(1, ino * 0x9e3779b97f4a7ULL % kLastCookie, "file" + std::to_string(ino), ino));
  }
  box.commit(batch);
  const SystemClock clock;
  std::int64_t best = kSecondNs;
  for (int round = 0; round < 3; ++round) {
    const auto start = clock.monotonic_ns();
    const auto listing = box.loader.directory(1, 0, 10000);
    best = std::min(best, clock.monotonic_ns() - start);
    INFO(listing.error().what);
    REQUIRE(listing.ok());
    CHECK(listing->entries.size() == 10000);
    CHECK(listing->complete_to < kLastCookie);
  }
  MESSAGE("10,000 entries in ", best / 1000, " us");
}

TEST_CASE("load: who is more than 1000 changes behind gets none of them, and loads anew") {
  StoreFixture box;
  PostgresFixture::shared().query(
      "INSERT INTO sboxfs.changes SELECT (jsonb_populate_record(c, jsonb_build_object('version', v))).* "
      "FROM sboxfs.changes c, generate_series(2, 1002) v WHERE c.version = 1 AND c.sandbox = '" +
      box.id.text() + "'");
  PostgresFixture::shared().query("UPDATE sboxfs.sandboxes SET version = 1002 WHERE id = '" + box.id.text() + "'");
  CHECK_FALSE(box.loader.changes(1)->base);
  CHECK(box.loader.changes(1)->changes.empty());
  CHECK(box.loader.changes(2)->base);
  CHECK(box.loader.changes(2)->changes.size() == 1000);
}
