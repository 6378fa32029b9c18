#include "sboxfs/tree/tree.hpp"

#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

using namespace sboxfs;

namespace {

InodeRecord record(Ino ino, std::uint32_t mode, std::uint32_t nlink = 1) {
  InodeRecord out;
  out.ino = ino;
  out.attr.mode = mode;
  out.attr.nlink = nlink;
  return out;
}

LoadedDir listing(const Tree& tree, const std::vector<std::pair<std::string, Ino>>& names) {
  LoadedDir page;
  page.dir = record(kRootIno, S_IFDIR | 0755, 2);
  page.complete_to = kLastCookie;
  for (const auto& [name, ino] : names)
    page.entries.push_back({{kRootIno, tree.cookie(name), name, ino, DT_REG}, record(ino, S_IFREG | 0644)});
  return page;
}

Tree::Name::State state_of(Tree& tree, const std::string& name) {
  return tree.find_name(*tree.find(kRootIno), tree.cookie(name), name).state;
}

using State = Tree::Name::State;

}  // namespace

TEST_CASE("tree: a name is unknown until its directory is loaded, then present or certainly absent") {
  Tree tree(NameKey{});
  tree.install(record(kRootIno, S_IFDIR | 0755, 2));
  CHECK(state_of(tree, "a") == State::unknown);
  tree.install(listing(tree, {{"a", 2}}), 0);
  CHECK(state_of(tree, "a") == State::present);
  CHECK(state_of(tree, "b") == State::absent);
}

TEST_CASE("tree: a load replaces neither a dirty name, nor its tombstone, nor dirty attributes") {
  Tree tree(NameKey{});
  tree.install(listing(tree, {{"a", 2}, {"b", 3}}), 0);
  Inode& root = *tree.find(kRootIno);
  DirItem& removed = *Tree::item(root, tree.cookie("a"), "a");
  tree.remove_name(root, removed);
  removed.dirty = 1;
  tree.set_name(root, tree.cookie("c"), "c", 9, DT_REG).dirty = 1;
  Inode& three = *tree.find(3);
  three.attr.size = 77;
  three.dirty = 1;
  tree.install(listing(tree, {{"a", 2}, {"b", 3}}), 0);
  CHECK(state_of(tree, "a") == State::absent);
  CHECK(state_of(tree, "c") == State::present);
  CHECK(tree.find(3)->attr.size == 77);
  CHECK(root.dir->names == 2);
}

TEST_CASE("tree: a delta drops exactly the names and inodes it names") {
  Tree tree(NameKey{});
  tree.install(listing(tree, {{"a", 2}, {"b", 3}}), 0);
  Delta delta;
  delta.names.push_back({kRootIno, "a"});
  delta.inodes.push_back({3, kChangedAttr, {}});
  CHECK(tree.drop(delta).empty());
  CHECK(state_of(tree, "a") == State::unknown);
  CHECK(state_of(tree, "b") == State::present);
  CHECK(state_of(tree, "z") == State::absent);
  CHECK_FALSE(tree.find(3)->attr_valid);
  CHECK(tree.find(2)->attr_valid);
}

TEST_CASE("tree: a delta drops exactly the chunks its ranges touch") {
  Tree tree(NameKey{});
  tree.install(record(5, S_IFREG | 0644));
  LoadedChunks rows;
  for (std::uint32_t idx = 0; idx < 4; ++idx) rows.chunks.push_back({idx, sha256("x"), 1, {}});
  tree.install(5, 0, 4, rows);
  Delta delta;
  delta.inodes.push_back({5, kChangedData, {{kChunkSize, kChunkSize + 1}}});
  tree.drop(delta);
  const FileNode& file = *tree.find(5)->file;
  CHECK(file.chunks.count(0) == 1);
  CHECK(file.chunks.count(1) == 0);
  CHECK(file.chunks.count(2) == 1);
  CHECK_FALSE(file.loaded.contains(1));
  CHECK(file.loaded.covers(2, 3));
}

TEST_CASE("tree: an inode that others removed stays while it is open and is reported for a pin") {
  Tree tree(NameKey{});
  tree.install(listing(tree, {{"a", 2}, {"b", 3}}), 0);
  tree.find(2)->opens = 1;
  Delta delta;
  delta.inodes.push_back({2, kChangedGone, {}});
  delta.inodes.push_back({3, kChangedGone, {}});
  CHECK(tree.drop(delta) == std::vector<Ino>{2});
  CHECK(tree.find(2)->unlinked);
  CHECK(tree.find(3) == nullptr);
}

TEST_CASE("tree: the kernel's lookup count survives the record") {
  Tree tree(NameKey{});
  tree.install(record(5, S_IFREG | 0644));
  tree.remember(5, 3);
  tree.erase(5);
  CHECK(tree.lookups(5) == 3);
  tree.install(record(5, S_IFREG | 0644));
  CHECK(tree.find(5)->lookups == 3);
  CHECK(tree.forget(5, 2) == 1);
  tree.erase(5);
  CHECK(tree.forget(5, 1) == 0);
}

TEST_CASE("tree: eviction drops clean closed records only, the used ones last") {
  Tree tree(NameKey{});
  tree.install(record(kRootIno, S_IFDIR | 0755, 2));
  for (Ino ino = 2; ino < 1002; ++ino) tree.install(record(ino, S_IFREG | 0644));
  tree.find(10)->opens = 1;
  tree.find(11)->pins = 4;
  tree.find(12)->unlinked = true;
  CHECK(tree.evict(0) == 997);
  CHECK(tree.size() == 4);
  CHECK(tree.bytes() > 0);
  CHECK(tree.find(kRootIno) != nullptr);
}
