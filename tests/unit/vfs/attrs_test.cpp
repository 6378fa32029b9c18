#include <doctest/doctest.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeSession session{store};
  Ino file = session.write_file(kRootIno, "f", "contents");

  Fixture() {
    session.sync();
    session.evict();
    session.clock.advance(kSecondNs);
  }
  Attr set(const AttrChange& change) { return session.vfs.setattr(session.root, file, change, nullptr)->attr; }
  Attr chmod(mode_t mode) {
    AttrChange change;
    change.mode = mode;
    return set(change);
  }
  std::int64_t now() const { return session.clock.wall_ns(); }
};

}  // namespace

TEST_CASE("setattr: chmod changes the permission bits and ctime only") {
  Fixture fixture;
  const Attr before = fixture.session.find("f")->attr;
  const Attr after = fixture.chmod(S_IFDIR | 04751);
  CHECK(after.mode == (S_IFREG | 04751U));
  CHECK(after.ctime == fixture.now());
  CHECK(after.mtime == before.mtime);
  CHECK(after.atime == before.atime);
  check_committed(fixture.session);
}

TEST_CASE("setattr: chown clears setuid and setgid of a file, also for root") {
  Fixture fixture;
  fixture.chmod(06755);
  AttrChange change;
  change.uid = 7;
  const Attr after = fixture.set(change);
  CHECK(after.mode == (S_IFREG | 0755U));
  CHECK(after.uid == 7);
  CHECK(after.gid == 0);
  CHECK(after.ctime == fixture.now());
  check_committed(fixture.session);
}

TEST_CASE("setattr: chown leaves setgid without group execute, and the bits of directories") {
  Fixture fixture;
  fixture.chmod(02745);
  AttrChange change;
  change.gid = 7;
  CHECK(fixture.set(change).mode == (S_IFREG | 02745U));
  const Ino dir = fixture.session.vfs.mkdir(fixture.session.root, kRootIno, "d", 0755)->ino;
  AttrChange bits;
  bits.mode = 07755;
  REQUIRE(fixture.session.vfs.setattr(fixture.session.root, dir, bits, nullptr).ok());
  CHECK(fixture.session.vfs.setattr(fixture.session.root, dir, change, nullptr)->attr.mode == (S_IFDIR | 07755U));
  check_committed(fixture.session);
}

TEST_CASE("setattr: a mode that comes with chown is the kernel's word") {
  Fixture fixture;
  fixture.chmod(04755);
  AttrChange change;
  change.uid = 7;
  change.mode = 04711;
  CHECK(fixture.set(change).mode == (S_IFREG | 04711U));
}

TEST_CASE("setattr: chown drops security.capability") {
  Fixture fixture;
  REQUIRE(fixture.session.vfs.setxattr(fixture.file, "security.capability", "cap", 0).ok());
  fixture.session.sync();
  fixture.session.evict();
  AttrChange change;
  change.uid = 7;
  fixture.set(change);
  CHECK(fixture.session.vfs.getxattr(fixture.file, "security.capability").code() == ENODATA);
  check_committed(fixture.session);
}

TEST_CASE("setattr: utimensat's table") {
  Fixture fixture;
  const Attr before = fixture.session.find("f")->attr;
  SUBCASE("both given, before 1970 too") {
    AttrChange change;
    change.atime = -5;
    change.mtime = 123'456'789'012'345'678;
    const Attr after = fixture.set(change);
    CHECK(after.atime == -5);
    CHECK(after.mtime == 123'456'789'012'345'678);
    CHECK(after.ctime == fixture.now());
  }
  SUBCASE("both now") {
    AttrChange change;
    change.atime_now = change.mtime_now = true;
    const Attr after = fixture.set(change);
    CHECK(after.atime == fixture.now());
    CHECK(after.mtime == fixture.now());
    CHECK(after.ctime == fixture.now());
  }
  SUBCASE("one omitted") {
    AttrChange change;
    change.atime = 77;
    const Attr after = fixture.set(change);
    CHECK(after.atime == 77);
    CHECK(after.mtime == before.mtime);
    CHECK(after.ctime == fixture.now());
  }
  SUBCASE("one given, one now") {
    AttrChange change;
    change.atime_now = true;
    change.mtime = 88;
    const Attr after = fixture.set(change);
    CHECK(after.atime == fixture.now());
    CHECK(after.mtime == 88);
  }
  check_committed(fixture.session);
}

TEST_CASE("setattr: times are the database's, by the offset the lease measured") {
  Fixture fixture;
  {
    MutexLock lock(fixture.session.state.mu);
    fixture.session.state.clock_offset_ns = 3600 * kSecondNs;
  }
  AttrChange change;
  change.mtime_now = true;
  CHECK(fixture.set(change).mtime == fixture.now() + 3600 * kSecondNs);
}

TEST_CASE("setattr: a size for what has none") {
  Fixture fixture;
  AttrChange change;
  change.size = 3;
  CHECK(fixture.session.vfs.setattr(fixture.session.root, kRootIno, change, nullptr).code() == EISDIR);
  const Ino fifo = fixture.session.vfs.mknod(fixture.session.root, kRootIno, "p", S_IFIFO | 0644, 0)->ino;
  CHECK(fixture.session.vfs.setattr(fixture.session.root, fifo, change, nullptr).code() == EINVAL);
  const Attr after = fixture.set(change);
  CHECK(after.size == 3);
  CHECK(after.mtime == fixture.now());
  CHECK(after.ctime == fixture.now());
  CHECK(fixture.session.read_file(fixture.file).value() == "con");
  check_committed(fixture.session);
}

TEST_CASE("getattr: an inode nobody knows is ESTALE") {
  Fixture fixture;
  CHECK(fixture.session.vfs.getattr(4711, nullptr).code() == ESTALE);
}

TEST_CASE("setattr: another session's change is seen after the adoption") {
  Fixture fixture;
  FakeSession other(fixture.store);
  CHECK(other.find("f")->attr.mode == (S_IFREG | 0644U));
  fixture.chmod(0600);
  fixture.session.sync();
  CHECK(other.find("f")->attr.mode == (S_IFREG | 0644U));
  other.adopt();
  CHECK(other.find("f")->attr.mode == (S_IFREG | 0600U));
}

TEST_CASE("statfs: quota, what is left of it, and a large disk without one") {
  FakeStore store(1000, 50);
  FakeSession session(store);
  FsStats stats = session.vfs.statfs().value();
  CHECK(stats.blocks == 1000);
  CHECK(stats.free_blocks == 1000);
  CHECK(stats.inodes == 50);
  CHECK(stats.free_inodes == 49);
  session.write_file(kRootIno, "f", std::string(10'000, 'x'));
  stats = session.vfs.statfs().value();
  CHECK(stats.free_blocks == 997);
  CHECK(stats.free_inodes == 48);
  REQUIRE(session.vfs.unlink(kRootIno, "f").ok());
  CHECK(session.vfs.statfs()->free_blocks == 1000);
  FakeStore endless;
  FakeSession other(endless);
  CHECK(other.vfs.statfs()->blocks * kBlockSize == std::uint64_t{1} << 50);
  check_committed(session);
}
