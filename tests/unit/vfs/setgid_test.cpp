// Found by the differential tester: what of set-id bits and of times the kernel leaves to the file system.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeSession session{store};
  Vfs& vfs = session.vfs;
  Ino file = session.write_file(kRootIno, "f", std::string(2 * kBlockSize - 100, 'x'));

  explicit Fixture(mode_t mode) {
    AttrChange change;
    change.mode = mode;
    change.gid = 7;
    REQUIRE(vfs.setattr(session.root, file, change, nullptr).ok());
    session.sync();
    session.clock.advance(kSecondNs);
  }
  Attr attr() { return vfs.getattr(file, nullptr)->attr; }
  mode_t mode() { return attr().mode & 07777U; }
};

/// user::rwx group::rwx other::rwx, as system.posix_acl_access holds it.
std::string minimal_acl() {
  std::string acl("\2\0\0\0", 4);
  for (const char tag : {1, 4, 32}) acl += std::string({tag, 0, 7, 0}) + "\xff\xff\xff\xff";
  return acl;
}

}  // namespace

TEST_CASE("setgid: only a file whose group can not execute it is guarded") {
  Fixture guarded(02644);
  CHECK(guarded.vfs.guarded_setgid(guarded.file) == std::optional<gid_t>(7));
  Fixture executable(02755);
  CHECK(executable.vfs.guarded_setgid(executable.file) == std::nullopt);
  Fixture plain(0644);
  CHECK(plain.vfs.guarded_setgid(plain.file) == std::nullopt);
}

TEST_CASE("setgid: dropping it takes that bit and moves ctime") {
  Fixture guarded(06644);
  const Attr before = guarded.attr();
  REQUIRE(guarded.vfs.drop_setgid(guarded.file).ok());
  CHECK(guarded.mode() == 04644);
  CHECK(guarded.attr().ctime == before.ctime + kSecondNs);
  CHECK(guarded.attr().mtime == before.mtime);
  check_committed(guarded.session);
}

TEST_CASE("setgid: O_TRUNC keeps the set-id bits for who may keep them") {
  Fixture fixture(06755);
  fixture.vfs.release(std::move(*fixture.vfs.open(fixture.file, O_WRONLY | O_TRUNC, false)));
  CHECK(fixture.mode() == 06755);
  fixture.vfs.release(std::move(*fixture.vfs.open(fixture.file, O_WRONLY | O_TRUNC, true)));
  CHECK(fixture.mode() == 0755);
}

TEST_CASE("setgid: fallocate leaves the set-id bits to the kernel") {
  Fixture fixture(06755);
  const auto handle = fixture.session.open(fixture.file, O_RDWR);
  REQUIRE(fixture.vfs.fallocate(*handle, 0, 0, 10).ok());
  CHECK(fixture.mode() == 06755);
}

TEST_CASE("setgid: an access ACL set by a stranger to the group takes it") {
  Fixture fixture(02777);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "system.posix_acl_access", minimal_acl(), 0, false).ok());
  CHECK(fixture.mode() == 02777);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "system.posix_acl_access", minimal_acl(), 0, true).ok());
  CHECK(fixture.mode() == 0777);
}

TEST_CASE("times: setting what is so already moves no ctime") {
  Fixture fixture(0777);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "value", 0).ok());
  const std::int64_t before = fixture.attr().ctime;
  fixture.session.clock.advance(kSecondNs);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "value", 0).ok());
  REQUIRE(fixture.vfs.setxattr(fixture.file, "system.posix_acl_access", minimal_acl(), 0).ok());
  CHECK(fixture.attr().ctime == before);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "other", 0).ok());
  CHECK(fixture.attr().ctime == before + kSecondNs);
}

TEST_CASE("punch: up to the end of the file the last block goes whole") {
  Fixture fixture(0644);
  const auto handle = fixture.session.open(fixture.file, O_RDWR);
  REQUIRE(fixture.vfs.fallocate(*handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 2 * kBlockSize - 111).ok());
  CHECK(fixture.attr().blocks == 2);
  REQUIRE(fixture.vfs.fallocate(*handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 2 * kBlockSize - 110).ok());
  CHECK(fixture.attr().blocks == 1);
  check_committed(fixture.session);
}
