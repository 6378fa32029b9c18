// copy_file_range(2): what is shared, what is copied, and batches in flight.
#include <doctest/doctest.h>

#include "data_model.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Pair {
  Pair(const std::string& from, const std::string& to)
      : source(session.write_file(kRootIno, "from", from)), target(session.write_file(kRootIno, "to", to)) {
    session.sync();
    in = session.open(source, O_RDONLY);
    out = session.open(target, O_RDWR);
  }
  Result<std::uint64_t> copy(std::uint64_t at, std::uint64_t to, std::uint64_t length) {
    return session.vfs.copy_range(*in, at, *out, to, length);
  }

  FakeStore store;
  FakeSession session{store};
  Ino source, target;
  std::unique_ptr<Handle> in, out;
};

}  // namespace

TEST_CASE("copy_file_range: whole clean chunks share their blobs without being read or uploaded") {
  const std::string data = pattern(2 * kChunkSize + 777, 1);
  Pair files(data, "");
  files.session.cache.clear();
  const std::size_t reads = files.store.loads("blobs");
  const std::size_t uploads = files.store.loads("upload");
  CHECK(files.copy(0, 0, data.size() + 5000).value() == data.size());
  files.session.sync();
  CHECK(files.store.loads("blobs") == reads);
  CHECK(files.store.loads("upload") == uploads);
  CHECK(files.session.read_file(files.target).value() == data);
  CHECK(blocks_of(files.session, files.target) == blocks_of(files.session, files.source));
  check_committed(files.session);
}

TEST_CASE("copy_file_range: a chunk that a batch in flight writes becomes the shared one") {
  Pair files(pattern(kChunkSize, 1), pattern(kChunkSize, 2));
  files.store.hold_commits();
  write_at(files.session, *files.out, 0, pattern(kChunkSize, 3));
  files.store.wait_for_held_commit();
  CHECK(files.copy(0, 0, kChunkSize).value() == kChunkSize);
  files.store.let_commits_go();
  files.session.sync();
  CHECK(files.session.read_file(files.target).value() == pattern(kChunkSize, 1));
  check_committed(files.session);
}

TEST_CASE("copy_file_range: the same over a patch in flight") {
  Pair files(pattern(kChunkSize, 1), pattern(kChunkSize, 2));
  files.store.hold_commits();
  write_at(files.session, *files.out, 100, "a patch");
  files.store.wait_for_held_commit();
  CHECK(files.copy(0, 0, kChunkSize).value() == kChunkSize);
  files.store.let_commits_go();
  files.session.sync();
  CHECK(files.session.read_file(files.target).value() == pattern(kChunkSize, 1));
  write_at(files.session, *files.out, 5, "and on");
  check_committed(files.session);
}

TEST_CASE("copy_file_range: a patched source comes with its patches, a changed one with its changes") {
  Pair files(pattern(kChunkSize, 1), "");
  const auto writer = files.session.open(files.source, O_WRONLY);
  write_at(files.session, *writer, 50, "patched");
  files.session.sync();
  files.session.cache.clear();
  CHECK(files.copy(0, 0, kChunkSize).ok());
  CHECK(files.session.read_file(files.target).value() == files.session.read_file(files.source).value());
  write_at(files.session, *writer, 60, "not committed");
  CHECK(files.copy(0, 0, kChunkSize).ok());
  const std::string copied = files.session.read_file(files.source).value();
  write_at(files.session, *writer, 70, "changed behind the copy");
  CHECK(files.session.read_file(files.target).value() == copied);
  check_committed(files.session);
}

TEST_CASE("copy_file_range: over allocated blocks the count stays right") {
  Pair files(pattern(kBlockSize, 1) + std::string(20 * kBlockSize, '\0') + "end", "");
  REQUIRE(files.session.vfs.fallocate(*files.out, 0, 0, kChunkSize).ok());
  const auto writer = files.session.open(files.source, O_RDWR);
  REQUIRE(files.session.vfs.fallocate(*writer, 3, kBlockSize, 20 * kBlockSize).ok());  // a hole, size kept
  REQUIRE(resize(files.session, files.source, kChunkSize).ok());
  CHECK(files.copy(0, 0, kChunkSize).value() == kChunkSize);
  CHECK(blocks_of(files.session, files.target) == 2);
  check_committed(files.session);
}

TEST_CASE("copy_file_range: overlapping parts of one file are EINVAL, others are copied") {
  Pair files("", pattern(3 * kChunkSize, 1));
  Handle& file = *files.out;
  CHECK(files.session.vfs.copy_range(file, 0, file, kChunkSize, 2 * kChunkSize).code() == EINVAL);
  CHECK(files.session.vfs.copy_range(file, 10, file, 2 * kChunkSize + 5, 1000).value() == 1000);
  CHECK(files.session.vfs.copy_range(file, 0, file, 3 * kChunkSize, kChunkSize).value() == kChunkSize);
  CHECK(files.session.vfs.copy_range(file, 4 * kChunkSize, file, 0, 1).value() == 0);
  std::string expected = pattern(3 * kChunkSize, 1);
  expected.replace(2 * kChunkSize + 5, 1000, expected.substr(10, 1000));
  expected += expected.substr(0, kChunkSize);
  CHECK(files.session.read_file(files.target).value() == expected);
  check_committed(files.session);
}

TEST_CASE("copy_file_range: holes stay holes, in whole chunks and at odd offsets, and make holes of what was there") {
  Pair files("", pattern(4 * kChunkSize, 2));
  const auto writer = files.session.open(files.source, O_RDWR);
  write_at(files.session, *writer, kChunkSize + 2 * kBlockSize, pattern(kBlockSize, 1));
  REQUIRE(resize(files.session, files.source, 3 * kChunkSize).ok());
  files.session.sync();
  CHECK(files.copy(0, 0, 3 * kChunkSize).value() == 3 * kChunkSize);
  CHECK(blocks_of(files.session, files.target) == 1 + kBlocksPerChunk);
  CHECK(files.copy(0, 5 * kChunkSize + kBlockSize, 3 * kChunkSize).value() == 3 * kChunkSize);
  CHECK(blocks_of(files.session, files.target) == 2 + kBlocksPerChunk);
  CHECK(size_of(files.session, files.target) == 8 * kChunkSize + kBlockSize);
  const std::string source = files.session.read_file(files.source).value();
  const std::string target = files.session.read_file(files.target).value();
  CHECK(target.substr(0, 3 * kChunkSize) == source);
  CHECK(target.substr(5 * kChunkSize + kBlockSize) == source);
  check_committed(files.session);
}

TEST_CASE("copy_file_range: file capabilities of the target go; set-user-ID is the kernel's to clear before") {
  Pair files(pattern(kChunkSize, 1), "");
  AttrChange mode;
  mode.mode = 04755;
  REQUIRE(files.session.vfs.setattr(files.session.root, files.target, mode, nullptr).ok());
  REQUIRE(files.session.vfs.setxattr(files.target, "security.capability", "x", 0).ok());
  CHECK(files.copy(0, 0, kChunkSize).ok());
  CHECK((files.session.vfs.getattr(files.target, nullptr)->attr.mode & 07777U) == 04755);
  CHECK(files.session.vfs.getxattr(files.target, "security.capability").code() == ENODATA);
}
