#include <doctest/doctest.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// /a/sub/deep, /b, files /a/f ("f") and /b/g ("gg"), all committed and out of memory.
struct Fixture {
  FakeStore store;
  FakeSession session{store};
  Vfs& vfs = session.vfs;
  Ino a = 0, b = 0, sub = 0, f = 0, g = 0;

  Fixture() {
    a = session.make_dir(kRootIno, "a");
    b = session.make_dir(kRootIno, "b");
    sub = session.make_dir(a, "sub");
    session.make_dir(sub, "deep");
    f = session.write_file(a, "f", "f");
    g = session.write_file(b, "g", "gg");
    session.sync();
    session.evict();
    session.clock.advance(kSecondNs);
  }
  Attr attr(const std::string& path) { return session.find(path)->attr; }
  std::int64_t now() const { return session.clock.wall_ns(); }
};

}  // namespace

TEST_CASE("rename: a file to another directory changes both directories' times and its own ctime") {
  Fixture fixture;
  REQUIRE(fixture.vfs.rename(fixture.a, "f", fixture.b, "h", 0).ok());
  CHECK(fixture.session.find("a/f").code() == ENOENT);
  CHECK(fixture.attr("b/h").ctime == fixture.now());
  CHECK(fixture.attr("b/h").mtime < fixture.now());
  CHECK(fixture.attr("a").mtime == fixture.now());
  CHECK(fixture.attr("b").mtime == fixture.now());
  check_committed(fixture.session);
}

TEST_CASE("rename: over a file the name is replaced and the old file loses a link") {
  Fixture fixture;
  REQUIRE(fixture.vfs.link(fixture.g, kRootIno, "g2").ok());
  REQUIRE(fixture.vfs.rename(fixture.a, "f", fixture.b, "g", 0).ok());
  CHECK(fixture.session.find("b/g")->ino == fixture.f);
  CHECK(fixture.attr("g2").nlink == 1);
  CHECK(fixture.attr("g2").ctime == fixture.now());
  check_committed(fixture.session);
  CHECK(fixture.session.list(fixture.b).value() == std::vector<std::string>{"g"});
}

TEST_CASE("rename: onto the same inode by another name does nothing") {
  Fixture fixture;
  REQUIRE(fixture.vfs.link(fixture.f, fixture.b, "f2").ok());
  fixture.session.clock.advance(kSecondNs);
  CHECK(fixture.vfs.rename(fixture.a, "f", fixture.b, "f2", 0).ok());
  CHECK(fixture.vfs.rename(fixture.a, "f", fixture.a, "f", 0).ok());
  CHECK(fixture.attr("a/f").nlink == 2);
  CHECK(fixture.attr("b/f2").ctime < fixture.now());
  CHECK(fixture.vfs.rename(fixture.a, "f", fixture.a, "f", RENAME_NOREPLACE).code() == EEXIST);
  check_committed(fixture.session);
}

TEST_CASE("rename: a directory to another parent moves its link and its ..") {
  Fixture fixture;
  REQUIRE(fixture.vfs.rename(fixture.a, "sub", fixture.b, "sub", 0).ok());
  CHECK(fixture.attr("a").nlink == 2);
  CHECK(fixture.attr("b").nlink == 3);
  std::uint64_t absent = 0;
  CHECK(fixture.vfs.lookup(fixture.sub, "..", absent)->ino == fixture.b);
  fixture.vfs.forget(fixture.b, 1);
  check_committed(fixture.session);
}

TEST_CASE("rename: over an empty directory only, and never across the types") {
  Fixture fixture;
  CHECK(fixture.vfs.rename(kRootIno, "b", kRootIno, "a", 0).code() == ENOTEMPTY);
  CHECK(fixture.vfs.rename(fixture.a, "f", kRootIno, "b", 0).code() == EISDIR);
  CHECK(fixture.vfs.rename(kRootIno, "b", fixture.a, "f", 0).code() == ENOTDIR);
  REQUIRE(fixture.vfs.unlink(fixture.b, "g").ok());
  REQUIRE(fixture.vfs.rename(kRootIno, "a", kRootIno, "b", 0).ok());
  CHECK(fixture.session.find("b")->ino == fixture.a);
  CHECK(fixture.attr("").nlink == 3);
  // Nobody uses the replaced directory: it has no link left, or is gone once its removal is committed.
  const Result<Found> replaced = fixture.vfs.getattr(fixture.b, nullptr);
  CHECK((replaced.ok() ? replaced->attr.nlink == 0 : replaced.code() == ESTALE));
  check_committed(fixture.session);
}

TEST_CASE("rename: a directory never goes into its own subtree, nor over its ancestor") {
  Fixture fixture;
  const Ino deep = fixture.session.find("a/sub/deep")->ino;
  fixture.session.evict();
  CHECK(fixture.vfs.rename(kRootIno, "a", deep, "x", 0).code() == EINVAL);
  CHECK(fixture.vfs.rename(kRootIno, "a", fixture.a, "x", 0).code() == EINVAL);
  CHECK(fixture.vfs.rename(fixture.sub, "deep", kRootIno, "a", 0).code() == ENOTEMPTY);
  CHECK(fixture.vfs.rename(kRootIno, "a", fixture.sub, "deep", RENAME_EXCHANGE).code() == EINVAL);
  CHECK(fixture.vfs.rename(fixture.sub, "deep", kRootIno, "a", RENAME_EXCHANGE).code() == EINVAL);
  check_committed(fixture.session);
}

TEST_CASE("rename: EXCHANGE swaps files and directories across parents") {
  Fixture fixture;
  REQUIRE(fixture.vfs.rename(fixture.a, "sub", fixture.b, "g", RENAME_EXCHANGE).ok());
  CHECK(fixture.session.find("a/sub")->ino == fixture.g);
  CHECK(fixture.session.find("b/g")->ino == fixture.sub);
  CHECK(fixture.attr("a").nlink == 2);
  CHECK(fixture.attr("b").nlink == 3);
  CHECK(fixture.attr("a/sub").ctime == fixture.now());
  std::uint64_t absent = 0;
  CHECK(fixture.vfs.lookup(fixture.sub, "..", absent)->ino == fixture.b);
  fixture.vfs.forget(fixture.b, 1);
  check_committed(fixture.session);
  REQUIRE(fixture.vfs.rename(kRootIno, "a", kRootIno, "b", RENAME_EXCHANGE).ok());
  CHECK(fixture.session.find("a")->ino == fixture.b);
  CHECK(fixture.vfs.rename(kRootIno, "a", kRootIno, "none", RENAME_EXCHANGE).code() == ENOENT);
  check_committed(fixture.session);
}

TEST_CASE("rename: flags") {
  Fixture fixture;
  CHECK(fixture.vfs.rename(fixture.a, "f", fixture.b, "g", RENAME_NOREPLACE).code() == EEXIST);
  CHECK(fixture.vfs.rename(fixture.a, "f", fixture.b, "new", RENAME_NOREPLACE).ok());
  CHECK(fixture.vfs.rename(fixture.b, "new", fixture.b, "g", RENAME_NOREPLACE | RENAME_EXCHANGE).code() == EINVAL);
  CHECK(fixture.vfs.rename(fixture.b, "new", fixture.b, "g", RENAME_WHITEOUT | RENAME_EXCHANGE).code() == EINVAL);
  CHECK(fixture.vfs.rename(fixture.b, "new", fixture.b, "g", RENAME_WHITEOUT | RENAME_NOREPLACE).code() == EEXIST);
  CHECK(fixture.vfs.rename(fixture.b, "new", fixture.b, "g", 1U << 7U).code() == EINVAL);
  CHECK(fixture.vfs.rename(fixture.b, "none", fixture.b, "g", 0).code() == ENOENT);
  check_committed(fixture.session);
}

TEST_CASE("rename: a whiteout takes the old name's place") {
  Fixture fixture;
  const Ino moved = fixture.session.find("a/f")->ino;
  REQUIRE(fixture.vfs.rename(fixture.a, "f", fixture.b, "g", RENAME_WHITEOUT, fixture.session.alice).ok());
  CHECK(fixture.session.find("b/g")->ino == moved);
  const Attr whiteout = fixture.session.find("a/f")->attr;
  CHECK(whiteout.mode == S_IFCHR);
  CHECK(whiteout.rdev == 0);
  CHECK(whiteout.uid == fixture.session.alice.uid);
  CHECK(whiteout.nlink == 1);
  check_committed(fixture.session);
}

TEST_CASE("rename: a name that is replaced again and again keeps its place in a listing") {
  Fixture fixture;
  const std::vector<Listed> before = fixture.vfs.readdir(fixture.b, 0, 10, false).value();
  REQUIRE(fixture.vfs.rename(fixture.a, "f", fixture.b, "g", 0).ok());
  const std::vector<Listed> after = fixture.vfs.readdir(fixture.b, 0, 10, false).value();
  REQUIRE(before.size() == 3);
  REQUIRE(after.size() == 3);
  CHECK(before[2].next == after[2].next);
  CHECK(after[2].ino == fixture.f);
}

TEST_CASE("rename: the replaced name is never missing for another session") {
  Fixture fixture;
  FakeSession other(fixture.store);
  CHECK(other.find("b/g")->ino == fixture.g);
  REQUIRE(fixture.vfs.rename(fixture.a, "f", fixture.b, "g", 0).ok());
  fixture.session.sync();
  CHECK(other.find("b/g").ok());
  other.adopt();
  CHECK(other.find("b/g")->ino == fixture.f);
  CHECK(other.find("a/f").code() == ENOENT);
}
