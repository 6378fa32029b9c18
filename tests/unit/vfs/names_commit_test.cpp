// What operations on names promise about commits: quota, durability, losses, and nothing left behind by a failure.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

VfsOptions synchronous() {
  VfsOptions options;
  options.durability = Durability::sync;
  return options;
}

}  // namespace

TEST_CASE("commit: a quota of inodes ends creation with EDQUOT, and removal makes room") {
  FakeStore store(0, 3);
  FakeSession session(store);
  session.make_dir(kRootIno, "d");
  session.write_file(kRootIno, "f", "");
  CHECK(session.vfs.mkdir(session.root, kRootIno, "e", 0755).code() == EDQUOT);
  CHECK(session.vfs.mknod(session.root, kRootIno, "g", S_IFREG | 0644, 0).code() == EDQUOT);
  CHECK(session.vfs.symlink(session.root, kRootIno, "l", "t").code() == EDQUOT);
  CHECK(session.vfs.create(session.root, kRootIno, "h", 0644, O_CREAT).code() == EDQUOT);
  CHECK(session.vfs.link(session.find("f")->ino, kRootIno, "f2").ok());
  check_committed(session);
  REQUIRE(session.vfs.rmdir(kRootIno, "d").ok());
  CHECK(session.vfs.mkdir(session.root, kRootIno, "e", 0755).ok());
  check_committed(session);
}

TEST_CASE("commit: an inode counts until its last name goes, its blocks too") {
  FakeStore store(10, 10);
  FakeSession session(store);
  const Ino file = session.write_file(kRootIno, "f", std::string(9000, 'x'));
  REQUIRE(session.vfs.link(file, kRootIno, "g").ok());
  std::unique_ptr<Handle> handle = session.open(file, O_RDONLY);
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  session.sync();
  CHECK(store.rows().usage.used_blocks == 3);
  CHECK(store.rows().usage.used_inodes == 2);
  REQUIRE(session.vfs.rename(kRootIno, "g", kRootIno, "h", 0).ok());
  REQUIRE(session.vfs.unlink(kRootIno, "h").ok());
  session.sync();
  CHECK(store.rows().usage.used_blocks == 0);
  CHECK(store.rows().usage.used_inodes == 1);
  session.vfs.release(std::move(handle));
  check_committed(session);
}

TEST_CASE("commit: under a quota what another session used counts, and so does a new quota") {
  FakeStore store(0, 4);
  FakeSession one(store);
  FakeSession two(store);
  CHECK(two.vfs.statfs()->free_inodes == 3);
  one.make_dir(kRootIno, "a");
  one.make_dir(kRootIno, "b");
  one.sync();
  two.make_dir(kRootIno, "c");
  CHECK(two.vfs.mkdir(two.root, kRootIno, "d", 0755).code() == EDQUOT);
  two.sync();
  store.edit([](FakeStore::Rows& rows) { rows.usage.quota_inodes = 5; });
  REQUIRE(two.adoption.read_usage().ok());
  CHECK(two.vfs.statfs()->free_inodes == 1);
  CHECK(two.vfs.mkdir(two.root, kRootIno, "d", 0755).ok());
  check_committed(two);
}

TEST_CASE("commit: what lives and dies between two commits never reaches the store") {
  FakeStore store;
  FakeSession session(store);
  session.write_file(kRootIno, "first", "");
  session.sync();
  store.hold_commits();
  session.write_file(kRootIno, "second", "");
  store.wait_for_held_commit();
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  session.write_file(dir, "tmp", "bytes");
  REQUIRE(session.vfs.unlink(dir, "tmp").ok());
  REQUIRE(session.vfs.rmdir(kRootIno, "d").ok());
  store.let_commits_go();
  check_committed(session);
  for (const Batch& batch : store.batches()) {
    for (const InodeRecord& record : batch.inodes) CHECK(record.ino != dir);
    for (const Dirent& dirent : batch.dirents) CHECK(dirent.name != "tmp");
  }
}

TEST_CASE("commit: changes to the same names while their batch is in flight") {
  FakeStore store;
  FakeSession session(store);
  store.hold_commits();
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  const Ino file = session.write_file(dir, "f", "one");
  store.wait_for_held_commit();
  REQUIRE(session.vfs.rename(dir, "f", kRootIno, "g", 0).ok());
  REQUIRE(session.vfs.rmdir(kRootIno, "d").ok());
  session.write_file(kRootIno, "d", "now a file");
  store.let_commits_go();
  check_committed(session);
  CHECK(session.find("g")->ino == file);
  CHECK(store.rows().inodes.count(dir) == 0);
}

TEST_CASE("commit: under sync an operation returns when it is in the store") {
  FakeStore store;
  FakeSession session(store, synchronous());
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  CHECK(store.rows().inodes.count(dir) == 1);
  REQUIRE(session.vfs.rename(kRootIno, "d", kRootIno, "e", 0).ok());
  CHECK(store.rows().dirents.begin()->second.name == "e");
  REQUIRE(session.vfs.rmdir(kRootIno, "e").ok());
  CHECK(store.rows().dirents.empty());
}

TEST_CASE("commit: under sync a lost truncation leaves no handle behind") {
  FakeStore store;
  FakeSession session(store, synchronous());
  const Ino file = session.write_file(kRootIno, "f", "contents");
  store.take_epoch();
  CHECK(session.vfs.open(file, O_WRONLY | O_TRUNC).code() == EIO);
  CHECK(session.read_file(file).value() == "contents");
  MutexLock lock(session.state.mu);
  CHECK(session.state.tree.peek(file)->opens == 0);
  CHECK(session.state.open_for_writing.empty());
}

TEST_CASE("commit: under sync a lost creation leaves neither a handle nor a lookup behind") {
  FakeStore store;
  FakeSession session(store, synchronous());
  session.write_file(kRootIno, "f", "");
  store.take_epoch();  // somebody else has the lease; this session does not know
  CHECK(session.vfs.create(session.root, kRootIno, "g", 0644, O_CREAT).code() == EIO);
  MutexLock lock(session.state.mu);
  for (const auto& [ino, inode] : session.state.tree.inodes()) {
    CHECK(inode.opens == 0);
    CHECK(inode.lookups == 0);
  }
}

TEST_CASE("commit: a lost lease loses the changes and the mount goes on from the truth") {
  FakeStore store;
  FakeSession session(store);
  const Ino kept = session.write_file(kRootIno, "kept", "x");
  session.sync();
  std::unique_ptr<Handle> handle = session.open(kept, O_WRONLY);
  store.hold_commits();
  bool differs = false;
  REQUIRE(session.vfs.write(*handle, 0, "y", {}, differs).ok());
  session.make_dir(kRootIno, "lost");
  store.take_epoch();
  store.let_commits_go();
  CHECK(session.vfs.fsync(*handle).code() == EIO);
  CHECK(session.vfs.flush(*handle).code() == EIO);
  CHECK(session.find("lost").code() == ENOENT);
  CHECK(session.read_file(kept).value() == "x");
  session.vfs.release(std::move(handle));
  CHECK(session.vfs.unlink(kRootIno, "kept").code() == EIO);  // nobody was told of the directory's loss: once
  session.write_file(kRootIno, "again", "x");
  check_committed(session);
}

TEST_CASE("commit: answers that went lost are looked up, and nothing is applied twice") {
  FakeStore store;
  FakeSession session(store);
  store.plan_commit({true, CommitState::in_doubt});
  session.make_dir(kRootIno, "a");
  session.sync();
  store.plan_commit({false, CommitState::in_doubt});
  session.make_dir(kRootIno, "b");
  session.sync();
  check_committed(session);
  CHECK(store.batches().size() == 2);
  CHECK(store.loads("look_up") == 2);
}

TEST_CASE("commit: a read-only mount changes nothing") {
  FakeStore store;
  VfsOptions options;
  options.read_only = true;
  FakeSession session(store, options);
  CHECK(session.vfs.mkdir(session.root, kRootIno, "d", 0755).code() == EROFS);
  CHECK(session.vfs.unlink(kRootIno, "d").code() == EROFS);
  CHECK(session.vfs.rename(kRootIno, "a", kRootIno, "b", 0).code() == EROFS);
  CHECK(session.vfs.setattr(session.root, kRootIno, {}, nullptr).code() == EROFS);
  CHECK(session.vfs.setxattr(kRootIno, "user.a", "", 0).code() == EROFS);
  CHECK(store.rows().stamp.version == 1);
}

TEST_CASE("commit: more creations than one range of inode numbers holds") {
  FakeStore store;
  FakeSession session(store);
  for (int i = 0; i < 2500; ++i)
    REQUIRE(session.vfs.mknod(session.root, kRootIno, std::to_string(i), S_IFREG | 0644, 0).ok());
  session.sync();
  CHECK(store.rows().dirents.size() == 2500);
  CHECK(store.problems().empty());
}

TEST_CASE("commit: two sessions that take turns see each other's tree") {
  FakeStore store;
  FakeSession one(store);
  FakeSession two(store);
  for (int round = 0; round < 5; ++round) {
    FakeSession& writer = round % 2 == 0 ? one : two;
    const std::string name = "d" + std::to_string(round);
    REQUIRE(writer.vfs.mkdir(writer.root, kRootIno, name, 0755).ok());
    if (round > 0) REQUIRE(writer.vfs.rmdir(kRootIno, "d" + std::to_string(round - 1)).ok());
  }
  check_committed(one);
  two.adopt();
  CHECK(one.describe() == two.describe());
}

TEST_CASE("commit: an orphan whose batch was lost becomes one again when the file is removed again") {
  FakeStore store;
  FakeSession session(store);
  const Ino file = session.write_file(kRootIno, "f", "x");
  session.sync();
  std::unique_ptr<Handle> handle = session.open(file, O_RDONLY);
  store.hold_commits();
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  store.wait_for_held_commit();
  store.take_epoch();
  store.let_commits_go();
  CHECK(session.vfs.fsync(*handle).code() == EIO);
  REQUIRE(session.find("f").ok());
  CHECK(session.vfs.unlink(kRootIno, "f").code() == EIO);  // tells of the loss
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  session.sync();
  CHECK(store.rows().orphans.count(file) == 1);
  CHECK(store.rows().pins.count(file) == 1);
  session.vfs.release(std::move(handle));
  session.sync();
  CHECK(store.rows().pins.empty());
  MutexLock lock(session.state.mu);
  CHECK(session.state.held.used_inodes == 0);
}

TEST_CASE("commit: a listing from before a removal does not give an open file its name back") {
  FakeStore store;
  FakeSession writer(store);
  FakeSession reader(store);
  const Ino dir = writer.make_dir(kRootIno, "d");
  const Ino file = writer.write_file(dir, "f", "x");
  writer.sync();
  reader.adopt();
  REQUIRE(reader.find("d/f").ok());
  std::unique_ptr<Handle> handle = reader.open(file, O_RDONLY);
  reader.evict();
  store.when_read("directory", [&] {
    REQUIRE(writer.vfs.unlink(dir, "f").ok());
    writer.sync();
    reader.adopt();
  });
  CHECK(reader.list(dir)->empty());
  {
    MutexLock lock(reader.state.mu);
    CHECK(reader.state.tree.peek(file)->unlinked);
  }
  reader.vfs.release(std::move(handle));
}
