#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr std::uint64_t kUncertain = ~std::uint64_t{0};

std::uint64_t lookups(FakeSession& session, Ino ino) {
  MutexLock lock(session.state.mu);
  return session.state.tree.lookups(ino);
}

}  // namespace

TEST_CASE("lookup: a loaded directory answers from memory, absent names too") {
  FakeStore store;
  {
    FakeSession writer(store);
    writer.write_file(kRootIno, "f", "x");
    writer.sync();
  }
  FakeSession session(store);
  std::uint64_t absent = 0;
  CHECK(session.vfs.lookup(kRootIno, "f", absent).ok());
  CHECK(absent == kUncertain);
  const std::size_t loads = store.loads("name") + store.loads("directory") + store.loads("inode");
  CHECK(session.vfs.lookup(kRootIno, "none", absent).code() == ENOENT);
  CHECK(absent == session.state.generation);
  CHECK(session.vfs.lookup(kRootIno, "f", absent).ok());
  CHECK(store.loads("name") + store.loads("directory") + store.loads("inode") == loads);
}

TEST_CASE("lookup: . and .. connect file handles to the tree") {
  FakeStore store;
  FakeSession session(store);
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  const Ino file = session.write_file(dir, "f", "x");
  session.sync();
  session.evict();
  std::uint64_t absent = 0;
  CHECK(session.vfs.lookup(file, ".", absent)->ino == file);
  CHECK(session.vfs.lookup(dir, ".", absent)->ino == dir);
  CHECK(session.vfs.lookup(dir, "..", absent)->ino == kRootIno);
  CHECK(session.vfs.lookup(kRootIno, "..", absent)->ino == kRootIno);
  CHECK(session.vfs.lookup(file, "..", absent).code() == ENOTDIR);
  CHECK(session.vfs.lookup(file, "x", absent).code() == ENOTDIR);
  CHECK(session.vfs.lookup(999, ".", absent).code() == ESTALE);
}

TEST_CASE("lookup: every answer with an inode counts once, remember and forget too") {
  FakeStore store;
  FakeSession session(store);
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  std::uint64_t absent = 0;
  CHECK(lookups(session, dir) == 1);
  CHECK(session.vfs.lookup(kRootIno, "d", absent).ok());
  CHECK(session.vfs.getattr(dir, nullptr).ok());
  CHECK(lookups(session, dir) == 2);
  session.vfs.remember(dir);
  session.sync();
  session.evict();
  CHECK(lookups(session, dir) == 3);
  session.vfs.forget(dir, 3);
  CHECK(lookups(session, dir) == 0);
}

TEST_CASE("lookup: a listing that was read before another session's change brings nothing old back") {
  FakeStore store;
  FakeSession writer(store);
  writer.write_file(kRootIno, "old", "x");
  writer.sync();
  FakeSession reader(store);
  store.hold_loads();
  Result<Found> answer = fail(EIO);
  std::thread looking([&] { answer = reader.find("old"); });
  store.wait_for_held_load();
  // The root's row (or listing) is read and on its way; meanwhile the name changes its file.
  Ino renamed = 0;
  std::thread changing([&] {
    renamed = writer.write_file(kRootIno, "new", "yy");
    if (!writer.vfs.rename(kRootIno, "new", kRootIno, "old", 0).ok()) renamed = 0;
    writer.sync();
  });
  changing.join();
  store.let_loads_go();
  looking.join();
  REQUIRE(answer.ok());
  reader.adopt();
  CHECK(reader.find("old")->ino == renamed);
  CHECK(reader.find("old")->attr.size == 2);
}

TEST_CASE("lookup: a failed load is the request's error, and the next one tries again") {
  FakeStore store;
  FakeSession session(store);
  store.fail_loads(EIO);
  CHECK(session.find("f").code() == EIO);
  CHECK(session.find("f").code() == ENOENT);
}

TEST_CASE("lookup: another session's create and remove are seen after the adoption") {
  FakeStore store;
  FakeSession one(store);
  FakeSession two(store);
  CHECK(two.find("f").code() == ENOENT);
  one.write_file(kRootIno, "f", "x");
  one.sync();
  two.adopt();
  CHECK(two.find("f").ok());
  REQUIRE(two.vfs.unlink(kRootIno, "f").ok());
  two.sync();
  one.adopt();
  CHECK(one.find("f").code() == ENOENT);
  check_committed(one);
  check_committed(two);
}

TEST_CASE("lookup: a destroyed sandbox answers ESTALE") {
  FakeStore store;
  FakeSession session(store);
  CHECK(session.find("").ok());
  store.destroy();
  CHECK(session.adoption.check().code() == ESTALE);
  CHECK(session.find("").code() == ESTALE);
  CHECK(session.vfs.mkdir(session.root, kRootIno, "d", 0755).code() == ESTALE);
}
