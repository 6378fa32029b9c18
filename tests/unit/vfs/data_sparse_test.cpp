// Holes, allocations and cuts: fallocate(2), lseek(2), truncate(2) where they meet, also in very large files.
#include <doctest/doctest.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "data_model.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr std::uint64_t kTib = std::uint64_t{1} << 40;

/// A file of 1 TiB with a few bytes at its start, in its middle and at its end, committed and not in memory.
struct Sparse {
  Sparse() : ino(session.write_file(kRootIno, "big", "start")) {
    handle = session.open(ino, O_RDWR);
    write_at(session, *handle, kTib / 2, "middle");
    write_at(session, *handle, kTib - 3, "end");
    session.sync();
    forget();
  }
  void forget() {
    session.vfs.release(std::move(handle));
    session.evict();
    session.cache.clear();
    handle = session.open(ino, O_RDWR);
  }

  FakeStore store;
  FakeSession session{store};
  Ino ino;
  std::unique_ptr<Handle> handle;
};

}  // namespace

TEST_CASE("sparse: seeking and cutting 1 TiB of holes takes a few loads") {
  Sparse file;
  const std::size_t before = file.store.loads("chunks");
  CHECK(file.session.vfs.seek(*file.handle, 5000, SEEK_DATA).value() == kTib / 2);
  CHECK(file.session.vfs.seek(*file.handle, kTib / 2, SEEK_HOLE).value() == kTib / 2 + kBlockSize);
  CHECK(file.session.vfs.seek(*file.handle, kTib / 2 + 5000, SEEK_DATA).value() == kTib - kBlockSize);
  CHECK(file.session.vfs.seek(*file.handle, kTib - 1, SEEK_HOLE).value() == kTib);
  CHECK(file.store.loads("chunks") <= before + 3);
  file.forget();
  REQUIRE(resize(file.session, file.ino, 100).ok());
  CHECK(blocks_of(file.session, file.ino) == 1);
  CHECK(file.session.vfs.seek(*file.handle, 0, SEEK_DATA).value() == 0);
  CHECK(file.session.vfs.seek(*file.handle, 50, SEEK_HOLE).value() == 100);
  CHECK(file.session.vfs.seek(*file.handle, 100, SEEK_DATA).code() == ENXIO);
  CHECK(file.store.loads("chunks") <= before + 6);
  file.session.sync();
  CHECK(file.store.rows().chunks.size() == 1);
  CHECK(file.store.problems().empty());
}

TEST_CASE("sparse: so does a hole behind many blocks of data") {
  Sparse file;
  write_at(file.session, *file.handle, 0, pattern(5U << 20, 1));  // more blocks than one load brings rows
  file.session.sync();
  file.forget();
  const std::size_t before = file.store.loads("chunks");
  CHECK(file.session.vfs.seek(*file.handle, 6U << 20, SEEK_DATA).value() == kTib / 2);
  CHECK(file.session.vfs.fallocate(*file.handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, kTib - 4096).ok());
  CHECK(blocks_of(file.session, file.ino) == 1);
  CHECK(file.store.loads("chunks") <= before + 3);
  file.session.sync();
  CHECK(file.store.problems().empty());
}

TEST_CASE("sparse: the whole of it can be allocated, punched and freed") {
  Sparse file;
  const std::uint64_t all = kTib / kBlockSize;
  REQUIRE(file.session.vfs.fallocate(*file.handle, 0, 0, kTib).ok());
  CHECK(blocks_of(file.session, file.ino) == all);
  file.session.sync();
  CHECK(file.store.problems().empty());
  write_at(file.session, *file.handle, 10 * kChunkSize, "written");
  CHECK(blocks_of(file.session, file.ino) == all);
  REQUIRE(file.session.vfs
              .fallocate(*file.handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kBlockSize, kTib - 2 * kBlockSize)
              .ok());
  CHECK(blocks_of(file.session, file.ino) == 2);
  CHECK(read_at(file.session, *file.handle, 10 * kChunkSize, 7) == std::string(7, '\0'));
  CHECK(read_at(file.session, *file.handle, kTib - 5, 100) == std::string("\0\0end", 5));
  file.session.sync();
  CHECK(file.store.problems().empty());
  CHECK(file.store.rows().ranges.empty());
}

TEST_CASE("sparse: what was allocated behind the end goes with a truncation, also to the same size") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  const auto handle = session.open(ino, O_RDWR);
  REQUIRE(session.vfs.fallocate(*handle, FALLOC_FL_KEEP_SIZE, 0, 10 * kBlockSize).ok());
  CHECK(size_of(session, ino) == 5);
  CHECK(blocks_of(session, ino) == 10);
  check_committed(session);
  const std::size_t uploads = store.loads("upload");
  REQUIRE(resize(session, ino, 5).ok());
  CHECK(blocks_of(session, ino) == 1);
  session.sync();
  CHECK(store.loads("upload") == uploads);  // the chunk itself did not change
  check_committed(session);
}

TEST_CASE("sparse: bytes behind a cut are zero when the file grows again") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", pattern(kChunkSize + 5000, 1));
  session.sync();
  REQUIRE(resize(session, ino, kBlockSize + 10).ok());
  REQUIRE(resize(session, ino, 2 * kChunkSize).ok());
  const std::string expected = pattern(kBlockSize + 10, 1) + std::string(2 * kChunkSize - kBlockSize - 10, '\0');
  CHECK(session.read_file(ino).value() == expected);
  CHECK(blocks_of(session, ino) == 2);
  check_committed(session);
  FakeSession other(store);
  CHECK(other.read_file(ino).value() == expected);
}

TEST_CASE("sparse: another session's allocations are noticed, though they change no data") {
  FakeStore store;
  FakeSession one(store);
  FakeSession two(store);
  const Ino ino = one.write_file(kRootIno, "f", "12345");
  const auto first = one.open(ino, O_RDWR);
  REQUIRE(one.vfs.fallocate(*first, FALLOC_FL_KEEP_SIZE, 4 * kBlockSize, 4 * kBlockSize).ok());
  one.sync();
  two.adopt();
  const auto second = two.open(ino, O_RDWR);
  write_at(two, *second, 4 * kBlockSize, "over the first allocated block");
  REQUIRE(two.vfs.fallocate(*second, FALLOC_FL_KEEP_SIZE, 20 * kBlockSize, kBlockSize).ok());
  two.sync();
  one.adopt();
  write_at(one, *first, 20 * kBlockSize, "x");
  CHECK(blocks_of(one, ino) == 6);
  check_committed(one);
  // The other way round: all allocations have gone meanwhile.
  REQUIRE(one.vfs.fallocate(*first, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 21 * kBlockSize).ok());
  one.sync();
  two.adopt();
  write_at(two, *second, 5 * kBlockSize, "x");
  CHECK(blocks_of(two, ino) == 1);
  check_committed(two);
}

TEST_CASE("sparse: modes of fallocate that are not there are EOPNOTSUPP, no length EINVAL") {
  FakeStore store;
  FakeSession session(store);
  const auto handle = session.open(session.write_file(kRootIno, "f", "12345"), O_RDWR);
  CHECK(session.vfs.fallocate(*handle, FALLOC_FL_COLLAPSE_RANGE, 0, kBlockSize).code() == EOPNOTSUPP);
  CHECK(session.vfs.fallocate(*handle, FALLOC_FL_PUNCH_HOLE, 0, kBlockSize).code() == EOPNOTSUPP);
  CHECK(session.vfs.fallocate(*handle, 0, 0, 0).code() == EINVAL);
  CHECK(session.vfs.seek(*handle, 0, 17).code() == EINVAL);
}
