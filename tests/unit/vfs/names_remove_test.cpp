#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// A file that one session has open and another one has removed.
struct RemovedByOther {
  RemovedByOther() {
    one.write_file(kRootIno, "f", "hello");
    one.sync();
    two.adopt();
    file = two.find("f")->ino;
    handle = two.open(file, O_RDONLY);
    REQUIRE(one.vfs.unlink(kRootIno, "f").ok());
    one.sync();
    two.adopt();
  }
  FakeStore store;
  FakeSession one{store};
  FakeSession two{store};
  Ino file = 0;
  std::unique_ptr<Handle> handle;
};

}  // namespace

TEST_CASE("unlink: one link less until the last, with ctime and the directory's times") {
  FakeStore store;
  FakeSession session(store);
  const Ino file = session.write_file(kRootIno, "f", "x");
  REQUIRE(session.vfs.link(file, kRootIno, "g").ok());
  session.clock.advance(kSecondNs);
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  const Attr left = session.find("g")->attr;
  CHECK(left.nlink == 1);
  CHECK(left.ctime == session.clock.wall_ns());
  CHECK(left.mtime < left.ctime);
  CHECK(session.find("")->attr.mtime == session.clock.wall_ns());
  CHECK(session.find("f").code() == ENOENT);
  CHECK(session.vfs.unlink(kRootIno, "f").code() == ENOENT);
  check_committed(session);
  REQUIRE(session.vfs.unlink(kRootIno, "g").ok());
  check_committed(session);
  CHECK(store.rows().inodes.count(file) == 0);
  CHECK(store.rows().chunks.empty());
}

TEST_CASE("unlink: a directory is EISDIR, rmdir of a file ENOTDIR") {
  FakeStore store;
  FakeSession session(store);
  session.make_dir(kRootIno, "d");
  const Ino file = session.write_file(kRootIno, "f", "");
  CHECK(session.vfs.unlink(kRootIno, "d").code() == EISDIR);
  CHECK(session.vfs.rmdir(kRootIno, "f").code() == ENOTDIR);
  CHECK(session.vfs.rmdir(kRootIno, "no").code() == ENOENT);
  CHECK(session.vfs.rmdir(kRootIno, ".").code() == EINVAL);
  CHECK(session.vfs.rmdir(kRootIno, "..").code() == ENOTEMPTY);
  CHECK(session.vfs.unlink(file, "x").code() == ENOTDIR);
  check_committed(session);
}

TEST_CASE("unlink: an open file works on without a name, and its rows go with the last handle") {
  FakeStore store;
  FakeSession session(store);
  session.write_file(kRootIno, "f", "hello");
  const Ino file = session.find("f")->ino;
  std::unique_ptr<Handle> handle = session.open(file, O_RDWR);
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  for (int round = 0; round < 2; ++round) {
    const Result<Found> found = session.vfs.getattr(file, handle.get());
    REQUIRE(found.ok());
    CHECK(found->attr.nlink == 0);
    CHECK(found->attr.size == 5);
    session.sync();
    session.evict();
  }
  bool differs = false;
  CHECK(*session.vfs.write(*handle, 0, "HE", {}, differs) == 2);
  const auto pieces = session.vfs.read(*handle, 0, 100);
  REQUIRE(pieces.ok());
  CHECK(pieces->at(0).bytes->substr(0, 5) == "HEllo");
  check_committed(session);
  CHECK(store.rows().pins.count(file) == 1);
  CHECK(store.rows().usage.used_inodes == 1);
  session.vfs.release(std::move(handle));
  session.sync();
  CHECK(store.rows().pins.empty());
  MutexLock lock(session.state.mu);
  CHECK(session.state.tree.peek(file) == nullptr);
}

TEST_CASE("unlink: until its removal is on its way to the database a removed file can still be opened") {
  FakeStore store;
  FakeSession session(store);
  store.session_opened();
  const Ino file = session.write_file(kRootIno, "f", "hello");
  session.sync();
  store.hold_commits();
  session.make_dir(kRootIno, "before");
  store.wait_for_held_commit();  // the removal waits behind it
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  std::unique_ptr<Handle> handle = session.open(file, O_RDWR);
  store.let_commits_go();
  session.sync();
  CHECK(store.rows().orphans.count(file) == 1);
  CHECK(session.vfs.read(*handle, 0, 10)->at(0).bytes->substr(0, 5) == "hello");
  session.vfs.release(std::move(handle));
  session.sync();
  CHECK(store.rows().pins.count(file) == 0);
  CHECK(session.vfs.open(file, O_RDONLY).code() == ESTALE);
  store.session_closed();
  check_committed(session);
}

TEST_CASE("unlink: a file the kernel still knows stays in memory until it is forgotten") {
  FakeStore store;
  FakeSession session(store);
  const Ino file = session.vfs.mknod(session.root, kRootIno, "f", S_IFREG | 0644, 0)->ino;
  session.sync();
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  session.sync();
  CHECK(session.vfs.getattr(file, nullptr)->attr.nlink == 0);
  CHECK(session.vfs.open(file, O_RDONLY).code() == ESTALE);
  session.vfs.forget(file, 1);
  {
    MutexLock lock(session.state.mu);
    CHECK(session.state.tree.peek(file) == nullptr);
  }
  CHECK(session.vfs.getattr(file, nullptr).code() == ESTALE);
  check_committed(session);
}

TEST_CASE("unlink: forgetting before the commit loses nothing") {
  FakeStore store;
  FakeSession session(store);
  const Ino file = session.vfs.mknod(session.root, kRootIno, "f", S_IFREG | 0644, 0)->ino;
  session.sync();
  store.hold_commits();
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  session.vfs.forget(file, 1);
  store.let_commits_go();
  check_committed(session);
  CHECK(store.rows().inodes.count(file) == 0);
}

TEST_CASE("rmdir: links, times and the removed directory's own attributes") {
  FakeStore store;
  FakeSession session(store);
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  session.clock.advance(kSecondNs);
  REQUIRE(session.vfs.rmdir(kRootIno, "d").ok());
  CHECK(session.find("")->attr.nlink == 2);
  CHECK(session.find("")->attr.ctime == session.clock.wall_ns());
  const Attr gone = session.vfs.getattr(dir, nullptr)->attr;
  CHECK(gone.nlink == 0);
  CHECK(gone.ctime == session.clock.wall_ns());
  check_committed(session);
}

TEST_CASE("rmdir: emptiness is known only with the whole listing") {
  FakeStore store;
  Ino dir = 0;
  {
    FakeSession writer(store);
    dir = writer.vfs.mkdir(writer.root, kRootIno, "d", 0755)->ino;
    for (int i = 0; i < 5; ++i) writer.write_file(dir, "f" + std::to_string(i), "");
    check_committed(writer);
  }
  FetcherLimits limits;
  limits.directory_page = 2;
  FakeSession session(store, {}, limits);
  CHECK(session.vfs.rmdir(kRootIno, "d").code() == ENOTEMPTY);
  // All names known here are removed; the ones behind the first page must still be found.
  for (int i = 0; i < 4; ++i) {
    REQUIRE(session.vfs.unlink(dir, "f" + std::to_string(i)).ok());
    CHECK(session.vfs.rmdir(kRootIno, "d").code() == ENOTEMPTY);
  }
  REQUIRE(session.vfs.unlink(dir, "f4").ok());
  CHECK(session.vfs.rmdir(kRootIno, "d").ok());
  check_committed(session);
}

TEST_CASE("unlink: another session's removal leaves an open file working here") {
  RemovedByOther f;
  CHECK(f.two.orphaned == std::vector<Ino>{f.file});
  CHECK(f.two.find("f").code() == ENOENT);
  CHECK(f.two.vfs.getattr(f.file, f.handle.get())->attr.nlink == 0);
  CHECK(f.two.vfs.read(*f.handle, 0, 10)->at(0).bytes->substr(0, 5) == "hello");
  f.two.vfs.release(std::move(f.handle));
  // Until the heartbeat has told what was seen the rows are there for whoever was given the number before.
  f.handle = f.two.open(f.file, O_RDONLY);
  CHECK(f.two.vfs.read(*f.handle, 0, 10)->at(0).bytes->substr(0, 5) == "hello");
  f.two.vfs.release(std::move(f.handle));
  {
    MutexLock lock(f.two.state.mu);
    f.two.state.lately_removed.clear();
  }
  CHECK(f.two.vfs.open(f.file, O_RDONLY).code() == ESTALE);
}

TEST_CASE("unlink: a removed file whose storage went while the session counted as dead is an error, not a hole") {
  RemovedByOther f;
  f.store.edit([&](FakeStore::Rows& rows) {
    rows.inodes.erase(f.file);
    rows.orphans.erase(f.file);
    std::erase_if(rows.chunks, [&](const auto& row) { return row.first.first == f.file; });
  });
  CHECK(f.two.vfs.read(*f.handle, 0, 10).code() == ESTALE);
  f.two.vfs.release(std::move(f.handle));
}
