#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

std::string name_of(int number) { return "file-" + std::to_string(number); }

/// A store whose root holds file-0 ... file-<count-1>.
void fill(FakeStore& store, int count) {
  FakeSession writer(store);
  for (int i = 0; i < count; ++i) REQUIRE(writer.vfs.mknod(writer.root, kRootIno, name_of(i), S_IFREG | 0644, 0).ok());
  writer.sync();
}

FetcherLimits pages_of(std::uint32_t entries) {
  FetcherLimits limits;
  limits.directory_page = entries;
  return limits;
}

}  // namespace

TEST_CASE("readdir: dots first, then every name once, at any size of a piece") {
  FakeStore store;
  fill(store, 50);
  for (const std::size_t piece : {1, 2, 7, 1000}) {
    FakeSession session(store, {}, pages_of(8));
    const std::vector<Listed> start = session.vfs.readdir(kRootIno, 0, piece, false).value();
    REQUIRE(start.size() >= 2);
    CHECK(start[0].name == ".");
    CHECK(start[0].next == 1);
    CHECK(start[1].name == "..");
    CHECK(start[1].next == 2);
    const std::vector<Listed> second = session.vfs.readdir(kRootIno, 1, piece, false).value();
    CHECK(second[0].name == "..");
    const std::vector<std::string> names = session.list(kRootIno, piece).value();
    CHECK(names.size() == 50);
    CHECK(std::set<std::string>(names.begin(), names.end()).size() == 50);
  }
}

TEST_CASE("readdir: offsets hold in another session and after eviction") {
  FakeStore store;
  fill(store, 40);
  FakeSession one(store, {}, pages_of(4));
  const std::vector<std::string> all = one.list(kRootIno).value();
  std::uint64_t offset = 0;
  std::vector<std::string> names;
  for (;;) {
    FakeSession other(store, {}, pages_of(4));
    const std::vector<Listed> items = other.vfs.readdir(kRootIno, offset, 3, false).value();
    if (items.empty()) break;
    offset = items.back().next;
    for (const Listed& item : items)
      if (item.name[0] != '.') names.push_back(item.name);
  }
  CHECK(names == all);
}

TEST_CASE("readdir: resuming a large directory loads one page, not what came before") {
  FakeStore store;
  fill(store, 300);
  std::uint64_t middle = 0;
  {
    FakeSession session(store);
    middle = session.vfs.readdir(kRootIno, 0, 200, false)->back().next;
  }
  FakeSession session(store, {}, pages_of(10));
  const std::vector<Listed> items = session.vfs.readdir(kRootIno, middle, 5, false).value();
  CHECK(items.size() == 5);
  CHECK(store.loads("directory") >= 1);
  MutexLock lock(session.state.mu);
  CHECK(session.state.tree.size() < 30);
}

TEST_CASE("readdir: names that stay are listed exactly once whatever changes around them") {
  FakeStore store;
  fill(store, 100);
  FakeSession session(store, {}, pages_of(16));
  std::multiset<std::string> seen;
  std::uint64_t offset = 0;
  int step = 0;
  for (;;) {
    const std::vector<Listed> items = session.vfs.readdir(kRootIno, offset, 5, false).value();
    if (items.empty()) break;
    offset = items.back().next;
    for (const Listed& item : items) seen.insert(item.name);
    // Odd ones go, one after the other; new ones come.
    const int victim = 2 * step + 1;
    if (victim < 100) REQUIRE(session.vfs.unlink(kRootIno, name_of(victim)).ok());
    REQUIRE(session.vfs.mknod(session.root, kRootIno, "new-" + std::to_string(step), S_IFREG | 0644, 0).ok());
    if (++step % 3 == 0) session.sync();
    if (step % 5 == 0) session.evict();
  }
  for (int i = 0; i < 100; i += 2) CHECK(seen.count(name_of(i)) == 1);
  for (const std::string& name : seen) CHECK(seen.count(name) == 1);
  check_committed(session);
}

TEST_CASE("readdir: with plus the attributes that a listing brought go along") {
  FakeStore store;
  fill(store, 5);
  FakeSession session(store);
  const std::vector<Listed> items = session.vfs.readdir(kRootIno, 0, 100, true).value();
  REQUIRE(items.size() == 7);
  CHECK(S_ISDIR(items[0].attr.mode));
  for (std::size_t i = 2; i < items.size(); ++i) {
    CHECK(items[i].attr.mode == (S_IFREG | 0644U));
    CHECK(items[i].type == DT_REG);
  }
  CHECK(store.loads("inode") <= 2);  // the root, by each session
}

TEST_CASE("readdir: names of one cookie are flagged, and go out together") {
  FakeStore store;
  fill(store, 3);
  // Two names under one cookie: what a collision of the hash would look like.
  FakeSession session(store);
  const std::uint64_t cookie = session.vfs.readdir(kRootIno, 0, 100, false)->at(2).next;
  {
    MutexLock lock(session.state.mu);
    session.state.tree.set_name(*session.state.tree.find(kRootIno), cookie, "twin", 99, DT_REG);
  }
  const std::vector<Listed> items = session.vfs.readdir(kRootIno, 2, 1, false).value();
  REQUIRE(items.size() == 2);
  CHECK(items[0].more_of_same);
  CHECK_FALSE(items[1].more_of_same);
  CHECK(items[0].next == items[1].next);
}

TEST_CASE("readdir: of a file ENOTDIR, of a removed directory only the dots") {
  FakeStore store;
  FakeSession session(store);
  const Ino file = session.write_file(kRootIno, "f", "");
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  REQUIRE(session.vfs.rmdir(kRootIno, "d").ok());
  CHECK(session.vfs.readdir(file, 0, 10, false).code() == ENOTDIR);
  CHECK(session.vfs.readdir(dir, 0, 10, false)->size() == 2);
  CHECK(session.vfs.readdir(dir, 2, 10, false)->empty());
}
