#include "sboxfs/journal/journal.hpp"

#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

using namespace sboxfs;

namespace {

/// A tree with a root, and the steps an operation would make.
struct Fixture {
  Tree tree{NameKey{}};
  Journal journal;
  Ino next = 10;

  Fixture() {
    InodeRecord root;
    root.ino = kRootIno;
    root.attr.mode = S_IFDIR | 0755;
    root.attr.nlink = 2;
    tree.install(root);
    this->root().dir->loaded.add(0, kLastCookie);
  }

  Inode& root() { return *tree.find(kRootIno); }

  Inode& create(const std::string& name) {
    Inode& inode = tree.obtain(next++);
    inode.attr.mode = S_IFREG | 0644;
    inode.attr.nlink = 1;
    inode.attr_valid = true;
    Tree::file(inode).loaded.add(0, ~std::uint32_t{0});
    journal.touch(inode);
    journal.touch_name(root(), tree.cookie(name), tree.set_name(root(), tree.cookie(name), name, inode.ino, DT_REG));
    return inode;
  }

  void unlink(const std::string& name) {
    DirItem& item = *Tree::item(root(), tree.cookie(name), name);
    Inode& inode = *tree.find(item.ino);
    inode.attr.nlink = 0;
    inode.unlinked = true;
    journal.touch(inode, kChangedAttr | kChangedGone);
    tree.remove_name(root(), item);
    journal.touch_name(root(), tree.cookie(name), item);
  }

  void write(Inode& inode, std::uint32_t offset, const std::string& data) {
    ChunkNode& chunk = inode.file->chunks[0];
    if (!chunk.buffer) {
      chunk.buffer = std::make_shared<std::string>();
      chunk.fresh = chunk.blob.empty();
    }
    if (chunk.shared) {
      chunk.buffer = std::make_shared<std::string>(*chunk.buffer);
      chunk.shared = false;
    }
    if (chunk.buffer->size() < offset + data.size()) chunk.buffer->resize(offset + data.size());
    chunk.buffer->replace(offset, data.size(), data);
    chunk.mask |= 1;
    journal.touch_chunk(inode, 0, chunk, offset, offset + static_cast<std::uint32_t>(data.size()));
    journal.changed_data(inode, offset, offset + data.size());
  }

  /// Cut and commit at once, as the committer does.
  InFlight commit(Version version = 2) {
    InFlight flight = journal.cut(tree);
    hash(flight);
    journal.settle(tree, flight, version);
    return flight;
  }

  static void hash(InFlight& flight) {
    for (ChunkPut& put : flight.batch.chunks)
      if (put.data) put.blob = sha256(*put.data);
  }
};

}  // namespace

TEST_CASE("journal: what was created and removed between two cuts never reaches the database") {
  Fixture fixture;
  fixture.create("a");
  fixture.unlink("a");
  const InFlight flight = fixture.commit();
  CHECK(flight.batch.inodes.empty());
  CHECK(flight.batch.dirents.empty());
  CHECK(flight.batch.unlinked.empty());
  CHECK(flight.batch.gone.empty());
  CHECK(flight.batch.delta.empty());
  CHECK(fixture.tree.find(10) == nullptr);
  CHECK(Tree::item(fixture.root(), fixture.tree.cookie("a"), "a") == nullptr);
}

TEST_CASE("journal: a file created in one batch and removed in the next is deleted there") {
  Fixture fixture;
  fixture.create("a");
  InFlight first = fixture.journal.cut(fixture.tree);
  fixture.unlink("a");
  fixture.journal.settle(fixture.tree, first, 2);
  CHECK(fixture.tree.find(10)->in_store);
  const InFlight second = fixture.commit(3);
  CHECK(second.batch.gone == std::vector<Ino>{10});
  REQUIRE(second.batch.unlinked.size() == 1);
  CHECK(second.batch.unlinked[0].name == "a");
  CHECK(fixture.tree.find(10) == nullptr);
}

TEST_CASE("journal: an unlinked file that is open becomes an orphan and keeps its row") {
  Fixture fixture;
  fixture.create("a").opens = 1;
  fixture.commit();
  fixture.unlink("a");
  const InFlight flight = fixture.commit(3);
  CHECK(flight.batch.orphans == std::vector<Ino>{10});
  CHECK(flight.batch.gone.empty());
  REQUIRE(flight.batch.inodes.size() == 1);
  CHECK(flight.batch.inodes[0].attr.nlink == 0);
  CHECK(fixture.tree.find(10) != nullptr);
}

TEST_CASE("journal: a part that changed while its batch was in flight stays dirty and goes with the next") {
  Fixture fixture;
  Inode& inode = fixture.create("a");
  fixture.write(inode, 0, "old");
  InFlight first = fixture.journal.cut(fixture.tree);
  Fixture::hash(first);
  fixture.write(inode, 0, "new");
  CHECK(*first.batch.chunks[0].data == "old");
  fixture.journal.settle(fixture.tree, first, 2);
  CHECK(inode.dirty == 2);
  CHECK(inode.file->chunks[0].dirty == 2);
  CHECK(inode.file->chunks[0].blob == sha256("old"));
  const InFlight second = fixture.commit(3);
  REQUIRE(second.batch.patches.size() == 1);
  CHECK(second.batch.patches[0].data == "new");
  CHECK(inode.dirty == 0);
  CHECK(inode.pins == 0);
}

TEST_CASE("journal: a small overwrite of a committed chunk is a patch, the sixteenth is folded") {
  Fixture fixture;
  Inode& inode = fixture.create("a");
  fixture.write(inode, 0, std::string(100, 'a'));
  fixture.commit();
  ChunkNode& chunk = inode.file->chunks[0];
  for (int round = 0; round < 16; ++round) {
    chunk.buffer = std::make_shared<std::string>(100, 'a');
    fixture.write(inode, 5, "b");
    const InFlight flight = fixture.commit(3 + round);
    CHECK(flight.batch.chunks.empty());
    REQUIRE(flight.batch.patches.size() == 1);
    CHECK(flight.batch.patches[0].offset == 5);
  }
  CHECK(chunk.patches.size() == 16);
  chunk.buffer = std::make_shared<std::string>(100, 'a');
  fixture.write(inode, 6, "c");
  const InFlight folded = fixture.commit(30);
  CHECK(folded.batch.patches.empty());
  CHECK(folded.batch.chunks.size() == 1);
  CHECK(chunk.patches.empty());
}

TEST_CASE("journal: a chunk cut off and made anew while in flight does not inherit the old blob") {
  Fixture fixture;
  Inode& inode = fixture.create("a");
  fixture.write(inode, 0, "old");
  InFlight first = fixture.journal.cut(fixture.tree);
  Fixture::hash(first);
  inode.file->chunks.clear();
  fixture.journal.touch_cut(inode, 0);
  fixture.write(inode, 0, "x");
  fixture.journal.settle(fixture.tree, first, 2);
  CHECK(inode.file->chunks[0].blob.empty());
  const InFlight second = fixture.commit(3);
  REQUIRE(second.batch.cuts.size() == 1);
  CHECK(second.batch.cuts[0].from == 0);
  REQUIRE(second.batch.chunks.size() == 1);
  CHECK(*second.batch.chunks[0].data == "x");
  CHECK(second.batch.patches.empty());
}

TEST_CASE("journal: the change row names committed inodes with their ranges, and not what is new") {
  Fixture fixture;
  Inode& inode = fixture.create("a");
  const InFlight first = fixture.commit();
  REQUIRE(first.batch.delta.names.size() == 1);
  CHECK(first.batch.delta.inodes.empty());
  fixture.write(inode, 10, "abc");
  fixture.write(inode, 13, "d");
  const InFlight second = fixture.commit(3);
  REQUIRE(second.batch.delta.inodes.size() == 1);
  CHECK(second.batch.delta.inodes[0].ino == inode.ino);
  CHECK(second.batch.delta.inodes[0].data == std::vector<Range>{{10, 14}});
}

TEST_CASE("journal: atime alone makes no batch, and rides in one that is there anyway") {
  Fixture fixture;
  Inode& inode = fixture.create("a");
  fixture.create("b");
  fixture.commit();
  inode.attr.atime = 99;
  fixture.journal.touch_lazily(inode);
  CHECK(fixture.journal.empty());
  fixture.journal.touch_lazily(inode);
  fixture.create("c");
  const InFlight flight = fixture.commit(3);
  CHECK(flight.batch.inodes.size() == 2);
  CHECK(flight.batch.inodes[1].attr.atime == 99);
  CHECK(flight.batch.delta.inodes.empty());
}

TEST_CASE("journal: after a reset every lost batch counts as passed, and new changes get a new number") {
  Fixture fixture;
  fixture.create("a");
  const std::uint64_t lost = fixture.journal.newest();
  fixture.journal.reset();
  CHECK(fixture.journal.empty());
  CHECK(fixture.journal.committed() >= lost);
  CHECK(fixture.journal.gathering() > lost);
  CHECK_FALSE(fixture.journal.in_flight());
}
