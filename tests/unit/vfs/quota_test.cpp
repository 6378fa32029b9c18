// The quota binds what is accepted, committed or not, also of files without a name; it may change at any time.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

int write_blocks(FakeSession& session, Handle& handle, std::uint64_t first, std::size_t count) {
  bool differs = false;
  return session.vfs.write(handle, first * kBlockSize, std::string(count * kBlockSize, 'x'), {}, differs).code();
}

/// Bytes, or a negative errno.
long written(FakeSession& session, Handle& handle, std::uint64_t at, std::size_t bytes,
             Vfs::WriteAs as = Vfs::WriteAs::call) {
  bool differs = false;
  const auto done = session.vfs.write(handle, at, std::string(bytes, 'x'), {}, differs, as);
  return done.ok() ? static_cast<long>(*done) : -done.code();
}

}  // namespace

TEST_CASE("quota: a write takes as many bytes as there is room for, pages written back all or none") {
  FakeStore store(4, 4);
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "");
  std::unique_ptr<Handle> handle = session.open(ino, O_RDWR);
  CHECK(written(session, *handle, 100, 6 * kBlockSize, Vfs::WriteAs::page) == -EDQUOT);
  CHECK(session.vfs.getattr(ino, nullptr)->attr.size == 0);
  CHECK(written(session, *handle, 100, 6 * kBlockSize) == 4 * kBlockSize - 100);
  CHECK(session.vfs.getattr(ino, nullptr)->attr.size == 4 * kBlockSize);
  CHECK(session.vfs.statfs()->free_blocks == 0);
  // What is there already takes no room; the first byte behind it does.
  CHECK(written(session, *handle, 3 * kBlockSize, 2 * kBlockSize) == kBlockSize);
  CHECK(written(session, *handle, 4 * kBlockSize, 1) == -EDQUOT);
  session.vfs.release(std::move(handle));
  check_committed(session);
}

TEST_CASE("quota: an open file without a name takes room until it is closed") {
  FakeStore store(4, 4);
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", std::string(2 * kBlockSize, 'x'));
  std::unique_ptr<Handle> handle = session.open(ino, O_RDWR);
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  CHECK(session.vfs.statfs()->free_blocks == 2);
  CHECK(session.vfs.statfs()->free_inodes == 2);
  CHECK(write_blocks(session, *handle, 2, 1) == 0);
  CHECK(written(session, *handle, 3 * kBlockSize, 2 * kBlockSize) == kBlockSize);
  CHECK(session.vfs.statfs()->free_blocks == 0);
  const Ino other = session.write_file(kRootIno, "g", "");
  std::unique_ptr<Handle> named = session.open(other, O_RDWR);
  CHECK(write_blocks(session, *named, 0, 2) == EDQUOT);
  session.sync();
  CHECK(store.rows().usage.used_blocks == 0);
  session.vfs.release(std::move(handle));
  CHECK(session.vfs.statfs()->free_blocks == 4);
  CHECK(session.vfs.statfs()->free_inodes == 2);
  CHECK(write_blocks(session, *named, 0, 4) == 0);
  session.vfs.release(std::move(named));
  check_committed(session);
}

TEST_CASE("quota: a file whose name another session removed is counted once it changes, and let go whole") {
  FakeStore store(10, 10);
  FakeSession one(store);
  FakeSession two(store);
  const Ino ino = one.write_file(kRootIno, "f", std::string(4 * kBlockSize, 'x'));
  one.sync();
  two.adopt();
  std::unique_ptr<Handle> handle = two.open(ino, O_RDWR);
  REQUIRE(one.vfs.unlink(kRootIno, "f").ok());
  one.sync();
  two.adopt();
  AttrChange shorter;
  shorter.size = kBlockSize;
  REQUIRE(two.vfs.setattr(two.root, ino, shorter, handle.get()).ok());
  CHECK(two.vfs.statfs()->free_blocks == 9);
  two.vfs.release(std::move(handle));
  CHECK(two.vfs.statfs()->free_blocks == 10);
}

TEST_CASE("quota: a change of it is learnt while changes are on their way, and what is used stays right") {
  FakeStore store(4, 0);
  FakeSession session(store);
  session.write_file(kRootIno, "f", std::string(kBlockSize, 'x'));
  session.sync();
  store.hold_commits();
  session.write_file(kRootIno, "g", std::string(kBlockSize, 'x'));
  store.wait_for_held_commit();
  session.write_file(kRootIno, "h", std::string(kBlockSize, 'x'));
  store.edit([](FakeStore::Rows& rows) { rows.usage.quota_blocks = 5; });
  REQUIRE(session.adoption.read_usage().ok());
  CHECK(session.vfs.statfs()->blocks == 5);
  CHECK(session.vfs.statfs()->free_blocks == 2);
  store.let_commits_go();
  session.sync();
  REQUIRE(session.adoption.read_usage().ok());
  CHECK(session.vfs.statfs()->free_blocks == 2);
  check_committed(session);
}

TEST_CASE("quota: below what is used nothing is added, but overwriting and shrinking go on") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", std::string(4 * kBlockSize, 'x'));
  session.sync();
  store.edit([](FakeStore::Rows& rows) { rows.usage.quota_blocks = 2; });
  REQUIRE(session.adoption.read_usage().ok());
  std::unique_ptr<Handle> handle = session.open(ino, O_RDWR);
  CHECK(session.vfs.statfs()->free_blocks == 0);
  CHECK(write_blocks(session, *handle, 0, 4) == 0);
  CHECK(write_blocks(session, *handle, 4, 1) == EDQUOT);
  AttrChange shorter;
  shorter.size = kBlockSize;
  REQUIRE(session.vfs.setattr(session.root, ino, shorter, handle.get()).ok());
  CHECK(write_blocks(session, *handle, 1, 1) == 0);
  CHECK(write_blocks(session, *handle, 2, 1) == EDQUOT);
  session.vfs.release(std::move(handle));
  check_committed(session);
}

TEST_CASE("quota: what is lost with the lease is not used any more") {
  FakeStore store(4, 4);
  FakeSession session(store);
  session.write_file(kRootIno, "kept", std::string(kBlockSize, 'x'));
  session.sync();
  store.hold_commits();
  session.write_file(kRootIno, "lost", std::string(kBlockSize, 'x'));
  store.take_epoch();
  store.let_commits_go();
  const Status status = session.committer.sync();  // too late to be told, or in time
  CHECK((status.ok() || status.code() == EIO));
  REQUIRE(session.state.losses == 1);
  CHECK(session.vfs.statfs()->free_blocks == 3);
  CHECK(session.vfs.statfs()->free_inodes == 2);
}

TEST_CASE("quota: reserved blocks count, and writing them takes no more") {
  FakeStore store(4, 0);
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "");
  std::unique_ptr<Handle> handle = session.open(ino, O_RDWR);
  REQUIRE(session.vfs.fallocate(*handle, 0, 0, 4 * kBlockSize).ok());
  CHECK(session.vfs.statfs()->free_blocks == 0);
  CHECK(write_blocks(session, *handle, 4, 1) == EDQUOT);
  CHECK(write_blocks(session, *handle, 1, 3) == 0);
  CHECK(session.vfs.getattr(ino, nullptr)->attr.blocks == 4);
  session.vfs.release(std::move(handle));
  check_committed(session);
}
