// read(2): read-ahead, atime, and what happens to files whose last name has gone.
#include <doctest/doctest.h>

#include "data_model.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

TEST_CASE("read: at and beyond the end there is nothing, across it what there is") {
  FakeStore store;
  FakeSession session(store);
  const auto handle = session.open(session.write_file(kRootIno, "f", "12345"), O_RDONLY);
  CHECK(read_at(session, *handle, 3, 100) == "45");
  CHECK(read_at(session, *handle, 5, 100).empty());
  CHECK(read_at(session, *handle, 1ULL << 50, 100).empty());
  CHECK(read_at(session, *handle, 0, 0).empty());
}

TEST_CASE("read: a sequential reader needs one load for many chunks, a random one reads only its own") {
  FakeStore store;
  FakeSession session(store);
  const std::string data = pattern(60 * kChunkSize, 1);
  const Ino ino = session.write_file(kRootIno, "f", data);
  session.sync();
  session.cache.clear();
  const auto handle = session.open(ino, O_RDONLY);
  std::size_t before = store.loads("blobs");
  for (std::uint64_t at = 0; at < data.size(); at += 50'000)
    CHECK(read_at(session, *handle, at, 50'000) == data.substr(at, 50'000));
  CHECK(store.loads("blobs") <= before + 6);
  session.cache.clear();
  before = store.loads("blobs");
  const auto random = session.open(ino, O_RDONLY);
  read_at(session, *random, 40 * kChunkSize, 10);
  read_at(session, *random, 20 * kChunkSize, 10);
  CHECK(store.loads("blobs") == before + 2);
  CHECK(session.cache.bytes() < 3 * kChunkSize);
}

TEST_CASE("read: atime follows relatime and never makes a version or takes the lease") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  session.sync();
  const Version version = store.rows().stamp.version;
  session.clock.advance(kSecondNs);
  const std::int64_t first_read = session.clock.wall_ns();
  CHECK(session.read_file(ino).ok());
  CHECK(session.vfs.getattr(ino, nullptr)->attr.atime == first_read);
  session.clock.advance(kSecondNs);
  CHECK(session.read_file(ino).ok());  // newer than mtime and ctime: it stays
  CHECK(session.vfs.getattr(ino, nullptr)->attr.atime == first_read);
  session.sync();
  CHECK(store.rows().stamp.version == version);
  session.write_file(kRootIno, "g", "");
  session.sync();
  CHECK(store.rows().inodes.at(ino).attr.atime == first_read);
  session.clock.advance(25 * 3600 * kSecondNs);
  CHECK(session.read_file(ino).ok());
  CHECK(session.vfs.getattr(ino, nullptr)->attr.atime == session.clock.wall_ns());
  session.give_up_lease();
  session.clock.advance(25 * 3600 * kSecondNs);
  const std::int64_t before = session.vfs.getattr(ino, nullptr)->attr.atime;
  CHECK(session.read_file(ino).ok());
  CHECK(session.vfs.getattr(ino, nullptr)->attr.atime == before);
}

TEST_CASE("read: with noatime atime stays") {
  FakeStore store;
  VfsOptions options;
  options.atime = Atime::never;
  FakeSession session(store, options);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  const std::int64_t before = session.vfs.getattr(ino, nullptr)->attr.atime;
  session.clock.advance(kSecondNs);
  CHECK(session.read_file(ino).ok());
  CHECK(session.vfs.getattr(ino, nullptr)->attr.atime == before);
}

TEST_CASE("read: a file without a name works until its last handle is closed, then its rows go") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  session.sync();
  auto handle = session.open(ino, O_RDWR);
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  session.sync();
  CHECK(store.rows().orphans.count(ino) == 1);
  CHECK(store.rows().pins.count(ino) == 1);
  write_at(session, *handle, 5, "67");
  session.cache.clear();
  session.sync();
  session.cache.clear();
  CHECK(read_at(session, *handle, 0, 100) == "1234567");
  session.vfs.release(std::move(handle));
  session.sync();
  CHECK(store.rows().pins.count(ino) == 0);
  CHECK(session.vfs.open(ino, O_RDONLY).code() == ESTALE);
}

TEST_CASE("read: a load that fails is an error, and the next read works") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  session.sync();
  session.cache.clear();
  const auto handle = session.open(ino, O_RDONLY);
  store.fail_loads(EIO);
  CHECK(session.vfs.read(*handle, 0, 10).code() == EIO);
  CHECK(read_at(session, *handle, 0, 10) == "12345");
}
