// fsync(2) and close(2): committed when they return, EIO when changes were lost.
#include <doctest/doctest.h>
#include <linux/fs.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "data_model.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

void wait_for_loss(FakeSession& session) {
  const Status status = session.committer.sync();  // too late to be told, or in time
  CHECK((status.ok() || status.code() == EIO));
  REQUIRE(session.state.losses == 1);
}

}  // namespace

TEST_CASE("fsync: returns when what was written is committed, not before") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "");
  session.sync();
  const auto handle = session.open(ino, O_RDWR);
  store.hold_commits();
  write_at(session, *handle, 0, "12345");
  std::atomic<bool> returned{false};
  Status status;
  std::thread syncing([&] {
    status = session.vfs.fsync(*handle);
    returned = true;
  });
  store.wait_for_held_commit();
  CHECK_FALSE(returned);
  CHECK(store.rows().inodes.at(ino).attr.size == 0);
  store.let_commits_go();
  syncing.join();
  CHECK(status.ok());
  CHECK(store.rows().inodes.at(ino).attr.size == 5);
}

TEST_CASE("flush: under cto close waits for the commit and its publication, in other modes for nothing") {
  for (const Durability durability : {Durability::async, Durability::cto}) {
    FakeStore store;
    VfsOptions options;
    options.durability = durability;
    FakeSession session(store, options);
    int published = 0;
    session.vfs.wait_published = [&] { ++published; };
    const Ino ino = session.write_file(kRootIno, "f", "");
    session.sync();
    auto handle = session.open(ino, O_RDWR);
    REQUIRE(session.vfs.flush(*handle).ok());  // nothing written
    CHECK(published == 0);
    write_at(session, *handle, 0, "12345");
    REQUIRE(session.vfs.flush(*handle).ok());
    CHECK(published == (durability == Durability::cto ? 1 : 0));
    if (durability == Durability::cto) CHECK(store.rows().inodes.at(ino).attr.size == 5);
    session.vfs.release(std::move(handle));
    handle = session.open(ino, O_WRONLY | O_TRUNC);
    REQUIRE(session.vfs.flush(*handle).ok());
    CHECK(published == (durability == Durability::cto ? 2 : 0));
  }
}

TEST_CASE("flush: under cto a new file is committed when it is closed, empty or not") {
  FakeStore store;
  VfsOptions options;
  options.durability = Durability::cto;
  FakeSession session(store, options);
  const Vfs::Created made = session.vfs.create(session.root, kRootIno, "f", 0644, O_CREAT | O_WRONLY).value();
  REQUIRE(session.vfs.flush(*made.handle).ok());
  CHECK(store.rows().inodes.count(made.found.ino) == 1);
}

TEST_CASE("flush, fsync: after a loss EIO for handles that wrote, and once for others of the same file") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  session.sync();
  const auto wrote = session.open(ino, O_RDWR);
  const auto only_read = session.open(ino, O_RDONLY);
  const auto other = session.open(session.write_file(kRootIno, "other", ""), O_RDONLY);
  session.sync();
  store.take_epoch();  // somebody else is the writer now
  write_at(session, *wrote, 0, "lost");
  CHECK(session.vfs.fsync(*wrote).code() == EIO);
  CHECK(session.vfs.flush(*wrote).code() == EIO);
  CHECK(session.vfs.flush(*only_read).ok());
  CHECK(session.vfs.fsync(*only_read).code() == EIO);
  CHECK(session.vfs.fsync(*only_read).ok());
  CHECK(session.vfs.fsync(*other).ok());
  CHECK(session.read_file(ino).value() == "12345");
  const auto after = session.open(ino, O_RDWR);
  write_at(session, *after, 0, "new");
  CHECK(session.vfs.fsync(*after).ok());
  CHECK(session.read_file(ino).value() == "new45");
  check_committed(session);
}

TEST_CASE("write, rename, link: after a loss that nobody was told of EIO, once") {
  FakeStore store;
  FakeSession session(store);
  const Ino target = session.write_file(kRootIno, "target", "old");
  const Ino beside = session.write_file(kRootIno, "beside", "");
  const Ino linked = session.write_file(kRootIno, "linked", "");
  const Ino log = session.write_file(kRootIno, "log", "");
  const Ino dir = session.make_dir(kRootIno, "dir");
  session.sync();
  store.hold_commits();
  for (const Ino ino : {beside, linked, log}) {
    auto handle = session.open(ino, O_WRONLY);
    write_at(session, *handle, 0, "new");
    session.vfs.release(std::move(handle));
  }
  session.write_file(dir, "inside", "");
  store.take_epoch();  // somebody else is the writer now
  store.let_commits_go();
  wait_for_loss(session);
  CHECK(session.vfs.rename(kRootIno, "beside", kRootIno, "target", 0).code() == EIO);
  CHECK(session.find("target").value().ino == target);
  CHECK(session.read_file(target).value() == "old");
  CHECK(session.vfs.rename(kRootIno, "target", kRootIno, "linked", RENAME_EXCHANGE).code() == EIO);
  CHECK(session.vfs.create(session.root, dir, "next", 0644, O_CREAT).code() == EIO);
  CHECK(session.vfs.rename(kRootIno, "dir", kRootIno, "full", 0).ok());
  bool differs = false;
  const auto appending = session.open(log, O_WRONLY);
  CHECK(session.vfs.write(*appending, 3, "er", {}, differs).code() == EIO);
  CHECK(session.vfs.write(*appending, 0, "newer", {}, differs).ok());
  CHECK(session.vfs.rename(kRootIno, "beside", kRootIno, "target", 0).ok());
  CHECK(session.vfs.link(linked, kRootIno, "again").ok());
  check_committed(session);
}

TEST_CASE("write, rename, link: a loss that close or fsync has told of is not told again") {
  FakeStore store;
  FakeSession session(store);
  const Ino closed = session.write_file(kRootIno, "closed", "");
  const Ino synced = session.write_file(kRootIno, "synced", "");
  session.sync();
  store.hold_commits();
  const auto one = session.open(closed, O_WRONLY);
  const auto two = session.open(synced, O_WRONLY);
  write_at(session, *one, 0, "new");
  write_at(session, *two, 0, "new");
  store.take_epoch();
  store.let_commits_go();
  wait_for_loss(session);
  CHECK(session.vfs.flush(*one).code() == EIO);
  CHECK(session.vfs.fsync(*two).code() == EIO);
  CHECK(session.vfs.rename(kRootIno, "closed", kRootIno, "target", 0).ok());
  CHECK(session.vfs.link(synced, kRootIno, "again").ok());
  bool differs = false;
  CHECK(session.vfs.write(*two, 0, "new", {}, differs).ok());
}

TEST_CASE("fsync: of a directory tells once of names that were lost, however late") {
  FakeStore store;
  FakeSession session(store);
  const Ino dir = session.make_dir(kRootIno, "d");
  const Ino other = session.make_dir(kRootIno, "e");
  session.write_file(dir, "a", "");
  session.sync();
  store.take_epoch();
  REQUIRE(session.vfs.rename(dir, "a", dir, "b", 0).ok());
  wait_for_loss(session);
  session.write_file(other, "later", "");
  session.sync();
  CHECK(session.vfs.fsync_dir(other).ok());
  CHECK(session.vfs.fsync_dir(dir).code() == EIO);
  CHECK(session.vfs.fsync_dir(dir).ok());
}

TEST_CASE("flush: a handle that only truncated the file counts as one that wrote") {
  FakeStore store;
  FakeSession session(store);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  session.sync();
  const auto handle = session.open(ino, O_RDWR);
  store.take_epoch();
  AttrChange shorter;
  shorter.size = 1;
  REQUIRE(session.vfs.setattr(session.root, ino, shorter, handle.get()).ok());
  wait_for_loss(session);
  CHECK(session.vfs.flush(*handle).code() == EIO);
}

TEST_CASE("write under sync: every call is committed when it returns") {
  FakeStore store;
  VfsOptions options;
  options.durability = Durability::sync;
  FakeSession session(store, options);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  CHECK(store.rows().inodes.at(ino).attr.size == 5);
  const auto handle = session.open(ino, O_RDWR);
  write_at(session, *handle, 5, "6");
  CHECK(store.rows().inodes.at(ino).attr.size == 6);
}

TEST_CASE("open under sync: a truncation that was lost leaves no handle behind") {
  FakeStore store;
  VfsOptions options;
  options.durability = Durability::sync;
  FakeSession session(store, options);
  const Ino ino = session.write_file(kRootIno, "f", "12345");
  const auto reader = session.open(ino, O_RDONLY);
  store.take_epoch();  // somebody else is the writer now
  CHECK(session.vfs.open(ino, O_WRONLY | O_TRUNC).code() == EIO);
  CHECK(session.read_file(ino).value() == "12345");
  MutexLock lock(session.state.mu);
  CHECK(session.state.tree.peek(ino)->opens == 1);
}

TEST_CASE("fsync: EIO when nothing has been committed for the stall time; the change is kept and committed later") {
  FakeStore store;
  CommitterOptions options;
  options.stall_ns = 5 * kSecondNs;
  FakeSession one(store, {}, {}, options);
  store.hold_commits();
  const Ino ino = one.make_dir(kRootIno, "d");
  store.wait_for_held_commit();
  std::atomic<bool> ended{false};
  std::thread ticker([&] {
    // However late the waiter begins to wait, time goes on.
    while (!ended) {
      one.clock.advance(kSecondNs);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  CHECK(one.committer.sync().code() == EIO);
  ended = true;
  ticker.join();
  CHECK(store.rows().inodes.count(ino) == 0);
  store.let_commits_go();
  CHECK(one.committer.sync().ok());
  CHECK(store.rows().inodes.count(ino) == 1);
}

TEST_CASE("committer: what nobody waits for shares a transaction while no other session is there") {
  FakeStore store;
  store.set_alone(true);
  CommitterOptions options;
  options.pace = std::chrono::hours(1);
  FakeSession one(store, {}, {}, options);
  one.make_dir(kRootIno, "first");
  one.sync();
  const std::size_t before = store.batches().size();
  for (const char* name : {"a", "b", "c"}) one.make_dir(kRootIno, name);
  CHECK(store.batches().size() == before);
  CHECK(one.vfs.fsync_dir(kRootIno).ok());  // ends the wait
  CHECK(store.batches().size() == before + 1);
  store.set_alone(false);
  one.make_dir(kRootIno, "d");
  one.sync();
  one.make_dir(kRootIno, "e");
  while (store.rows().dirents.size() < 6) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(store.batches().size() == before + 3);  // at once
}
