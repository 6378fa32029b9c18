// write(2): appends, limits, what becomes a patch, and what a batch in flight must not notice.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "data_model.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// A file with these contents, committed, and a handle on it.
struct Written {
  explicit Written(const std::string& contents) : ino(session.write_file(kRootIno, "f", contents)) {
    session.sync();
    handle = session.open(ino, O_RDWR);
  }
  Batch last() {
    session.sync();
    return store.batches().back();
  }

  FakeStore store;
  FakeSession session{store};
  Ino ino;
  std::unique_ptr<Handle> handle;
};

}  // namespace

TEST_CASE("write: an append goes to the end as the daemon knows it; a page goes where it belongs") {
  Written file("12345");
  const auto append = file.session.open(file.ino, O_RDWR | O_APPEND);
  bool differs = false;
  REQUIRE(file.session.vfs.write(*append, 0, "678", {}, differs, Vfs::WriteAs::append).ok());
  CHECK(differs);
  REQUIRE(file.session.vfs.write(*append, 8, "9", {}, differs, Vfs::WriteAs::append).ok());
  CHECK_FALSE(differs);
  REQUIRE(file.session.vfs.write(*append, 0, "X", {}, differs, Vfs::WriteAs::page).ok());
  CHECK_FALSE(differs);
  CHECK(file.session.read_file(file.ino).value() == "X23456789");
}

TEST_CASE("write: behind another mount's change the kernel's pages are taken back, for they may be from before") {
  FakeStore store;
  FakeSession other(store);
  const Ino ino = other.write_file(kRootIno, "f", "12345");
  other.sync();
  FakeSession session(store);
  auto handle = session.open(ino, O_RDWR);
  bool differs = false;
  REQUIRE(session.vfs.write(*handle, 0, "a", {}, differs).ok());
  CHECK_FALSE(differs);
  auto theirs = other.open(ino, O_RDWR);
  REQUIRE(other.vfs.write(*theirs, 1, "b", {}, differs).ok());
  other.sync();
  session.adopt();
  REQUIRE(session.vfs.write(*handle, 2, "c", {}, differs).ok());
  CHECK(differs);
  CHECK(session.read_file(ino).value() == "abc45");
  session.vfs.release(std::move(handle));
  other.vfs.release(std::move(theirs));
}

TEST_CASE("write: beyond 1 TiB is EFBIG, also by truncate, fallocate and copy_file_range") {
  Written file("12345");
  bool differs = false;
  CHECK(file.session.vfs.write(*file.handle, kMaxFileSize, "x", {}, differs).code() == EFBIG);
  CHECK(file.session.vfs.write(*file.handle, ~std::uint64_t{0} / 2, "x", {}, differs).code() == EFBIG);
  CHECK(resize(file.session, file.ino, kMaxFileSize + 1).code() == EFBIG);
  CHECK(file.session.vfs.fallocate(*file.handle, 0, kMaxFileSize, 1).code() == EFBIG);
  const std::uint64_t wraps = (std::uint64_t{1} << 32) * kChunkSize;
  CHECK(file.session.vfs.copy_range(*file.handle, 0, *file.handle, wraps, 5).code() == EFBIG);
  CHECK(size_of(file.session, file.ino) == 5);
  CHECK(file.session.vfs.write(*file.handle, kMaxFileSize - 1, "xy", {}, differs).value() == 1);
  CHECK(size_of(file.session, file.ino) == kMaxFileSize);
  CHECK(blocks_of(file.session, file.ino) == 2);
  CHECK(file.last().chunks.size() == 1);
}

TEST_CASE("write: a small change of a committed chunk is committed as a patch; many are folded") {
  Written file(pattern(kChunkSize, 1));
  std::string expected = pattern(kChunkSize, 1);
  std::size_t folded = 0;
  for (unsigned i = 0; i < 40; ++i) {
    const std::string data = pattern(kBlockSize, 100 + i);
    write_at(file.session, *file.handle, 500 + i * 3000, data);
    expected.replace(500 + i * 3000, data.size(), data);
    const Batch batch = file.last();
    REQUIRE(batch.patches.size() + batch.chunks.size() == 1);
    folded += batch.chunks.size();
    if (!batch.patches.empty()) CHECK(batch.patches[0].data == data);
    if (i % 5 == 0) {
      file.session.cache.clear();
      FakeSession other(file.store);
      CHECK(other.read_file(file.ino).value() == expected);
    }
  }
  CHECK(folded >= 2);
  CHECK(folded <= 4);
  CHECK(file.session.read_file(file.ino).value() == expected);
  check_committed(file.session);
}

TEST_CASE("write: a chunk written whole is not read before") {
  Written file(pattern(3 * kChunkSize, 1));
  file.session.cache.clear();
  const std::size_t before = file.store.loads("blobs");
  write_at(file.session, *file.handle, kChunkSize, pattern(kChunkSize, 2));
  CHECK(file.store.loads("blobs") == before);
  write_at(file.session, *file.handle, 5, "needs the rest of its chunk");
  CHECK(file.store.loads("blobs") == before + 1);
  check_committed(file.session);
}

TEST_CASE("write: what a batch in flight carries does not change under it, and is not taken for newer bytes") {
  Written file(pattern(kChunkSize, 1));
  file.store.hold_commits();
  write_at(file.session, *file.handle, 10, "first");
  file.store.wait_for_held_commit();
  write_at(file.session, *file.handle, 12, "second");
  CHECK(read_at(file.session, *file.handle, 8, 12).substr(2) == "fisecond" + pattern(20, 1).substr(18, 2));
  file.store.let_commits_go();
  file.session.sync();
  const std::vector<Batch> batches = file.store.batches();
  REQUIRE(batches.size() >= 3);
  REQUIRE(batches[batches.size() - 2].patches.size() == 1);
  CHECK(batches[batches.size() - 2].patches[0].data == "first");
  CHECK(batches.back().patches.at(0).data == "second");
  check_committed(file.session);
}

TEST_CASE("write: pieces a reader still holds do not change") {
  Written file("0123456789");
  write_at(file.session, *file.handle, 0, "abc");
  const std::vector<Vfs::Piece> held = file.session.vfs.read(*file.handle, 0, 10).value();
  write_at(file.session, *file.handle, 0, "XYZ");
  REQUIRE(held.size() == 1);
  CHECK(held[0].bytes->substr(held[0].from, held[0].size) == "abc3456789");
}

TEST_CASE("write: the quota counts blocks; what must be written whole and does not fit changes nothing") {
  FakeStore store(4);
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", pattern(3 * kBlockSize, 1));
  const auto handle = session.open(ino, O_RDWR);
  bool differs = false;
  CHECK(
      session.vfs.write(*handle, 3 * kBlockSize, pattern(2 * kBlockSize, 2), {}, differs, Vfs::WriteAs::page).code() ==
      EDQUOT);
  CHECK(size_of(session, ino) == 3 * kBlockSize);
  CHECK(session.vfs.fallocate(*handle, 0, 0, 5 * kBlockSize).code() == EDQUOT);
  CHECK(session.vfs.fallocate(*handle, 0, 0, 4 * kBlockSize).ok());
  write_at(session, *handle, 0, pattern(4 * kBlockSize, 3));  // over blocks that are counted already
  REQUIRE(resize(session, ino, 0).ok());
  write_at(session, *handle, 0, pattern(4 * kBlockSize, 4));
  check_committed(session);
}

TEST_CASE("write: setuid and setgid go when the kernel asks for it, and mtime and ctime are now") {
  Written file("12345");
  AttrChange mode;
  mode.mode = 06755;
  REQUIRE(file.session.vfs.setattr(file.session.root, file.ino, mode, nullptr).ok());
  file.session.clock.advance(kSecondNs);
  bool differs = false;
  REQUIRE(file.session.vfs.write(*file.handle, 0, "x", {}, differs).ok());
  CHECK((file.session.vfs.getattr(file.ino, nullptr)->attr.mode & 07777U) == 06755);
  REQUIRE(file.session.vfs.write(*file.handle, 0, "x", {true, {}}, differs).ok());
  const Attr attr = file.session.vfs.getattr(file.ino, nullptr)->attr;
  CHECK((attr.mode & 07777U) == 0755);
  CHECK(attr.mtime == file.session.clock.wall_ns());
  CHECK(attr.ctime == file.session.clock.wall_ns());
}

TEST_CASE("write: back-pressure counts the memory that small writes far apart hold") {
  Written file(pattern(8 * kChunkSize, 1));
  file.store.hold_commits();
  write_at(file.session, *file.handle, 0, "x");
  file.store.wait_for_held_commit();
  for (std::uint64_t idx = 1; idx < 8; ++idx)
    for (int again = 0; again < 3; ++again) write_at(file.session, *file.handle, idx * kChunkSize, "x");
  {
    MutexLock lock(file.session.state.mu);
    CHECK(file.session.state.journal.bytes() == 8 * kChunkSize);
  }
  file.store.let_commits_go();
  check_committed(file.session);
}
