#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeSession session{store};
  Vfs& vfs = session.vfs;
  Ino file = session.write_file(kRootIno, "f", "x");
};

}  // namespace

TEST_CASE("xattr: set, get, list and remove; ctime changes, mtime does not") {
  Fixture fixture;
  fixture.session.sync();
  const std::int64_t before = fixture.session.clock.wall_ns();
  fixture.session.clock.advance(kSecondNs);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "user.b", std::string("two\0bytes", 9), 0).ok());
  REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "", 0).ok());
  CHECK(fixture.session.find("f")->attr.ctime == before + kSecondNs);
  CHECK(fixture.session.find("f")->attr.mtime == before);
  check_committed(fixture.session);
  fixture.session.evict();
  CHECK(fixture.vfs.getxattr(fixture.file, "user.b").value() == std::string("two\0bytes", 9));
  CHECK(fixture.vfs.getxattr(fixture.file, "user.a").value().empty());
  CHECK(fixture.vfs.listxattr(fixture.session.root, fixture.file).value() ==
        std::vector<std::string>{"user.a", "user.b"});
  fixture.session.clock.advance(kSecondNs);
  REQUIRE(fixture.vfs.removexattr(fixture.file, "user.b").ok());
  CHECK(fixture.session.find("f")->attr.ctime == before + 2 * kSecondNs);
  CHECK(fixture.vfs.removexattr(fixture.file, "user.b").code() == ENODATA);
  REQUIRE(fixture.vfs.removexattr(fixture.file, "user.a").ok());
  CHECK(fixture.session.find("f")->attr.flags == 0);
  check_committed(fixture.session);
}

TEST_CASE("xattr: what has none is answered without a load") {
  Fixture fixture;
  fixture.session.sync();
  fixture.session.evict();
  CHECK(fixture.vfs.getxattr(fixture.file, "security.capability").code() == ENODATA);
  CHECK(fixture.vfs.listxattr(fixture.session.root, fixture.file)->empty());
  CHECK(fixture.store.loads("xattrs") == 0);
}

TEST_CASE("xattr: XATTR_CREATE and XATTR_REPLACE") {
  Fixture fixture;
  CHECK(fixture.vfs.setxattr(fixture.file, "user.a", "1", XATTR_REPLACE).code() == ENODATA);
  CHECK(fixture.vfs.setxattr(fixture.file, "user.a", "1", XATTR_CREATE).ok());
  CHECK(fixture.vfs.setxattr(fixture.file, "user.a", "2", XATTR_CREATE).code() == EEXIST);
  CHECK(fixture.vfs.setxattr(fixture.file, "user.a", "3", XATTR_REPLACE).ok());
  CHECK(fixture.vfs.getxattr(fixture.file, "user.a").value() == "3");
  check_committed(fixture.session);
}

TEST_CASE("xattr: a removed one can be made again, before and after the commit") {
  Fixture fixture;
  for (int round = 0; round < 2; ++round) {
    REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "1", 0).ok());
    fixture.session.sync();
    REQUIRE(fixture.vfs.removexattr(fixture.file, "user.a").ok());
    if (round == 1) fixture.session.sync();
    CHECK(fixture.vfs.listxattr(fixture.session.root, fixture.file)->empty());
    REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "2", XATTR_CREATE).ok());
    check_committed(fixture.session);
  }
}

TEST_CASE("xattr: the limits of xattr(7), and a total that replacing does not count twice") {
  Fixture fixture;
  const std::string large(64 * 1024, 'v');
  CHECK(fixture.vfs.setxattr(fixture.file, "user." + std::string(250, 'n'), "v", 0).ok());
  CHECK(fixture.vfs.setxattr(fixture.file, "user." + std::string(251, 'n'), "v", 0).code() == ERANGE);
  CHECK(fixture.vfs.setxattr(fixture.file, "user.large", large + "v", 0).code() == E2BIG);
  for (int i = 0; i < 15; ++i) REQUIRE(fixture.vfs.setxattr(fixture.file, "user." + std::to_string(i), large, 0).ok());
  CHECK(fixture.vfs.setxattr(fixture.file, "user.15", large, 0).code() == ENOSPC);
  CHECK(fixture.vfs.setxattr(fixture.file, "user.0", large, XATTR_REPLACE).ok());
  check_committed(fixture.session);
}

TEST_CASE("xattr: name spaces as Linux knows them") {
  Fixture fixture;
  for (const char* name : {"user.x", "trusted.x", "security.x"}) {
    CHECK(fixture.vfs.setxattr(fixture.file, name, "v", 0).ok());
    CHECK(fixture.vfs.getxattr(fixture.file, name).value() == "v");
  }
  for (const char* name : {"system.nfs4_acl", "other.x", "x"}) {
    CHECK(fixture.vfs.setxattr(fixture.file, name, "v", 0).code() == EOPNOTSUPP);
    CHECK(fixture.vfs.getxattr(fixture.file, name).code() == EOPNOTSUPP);
    CHECK(fixture.vfs.removexattr(fixture.file, name).code() == EOPNOTSUPP);
  }
  CHECK(fixture.vfs.setxattr(fixture.file, "user.", "v", 0).code() == EINVAL);
}

TEST_CASE("xattr: another session's change is seen after the adoption") {
  Fixture fixture;
  fixture.session.sync();
  FakeSession other(fixture.store);
  CHECK(other.vfs.getxattr(fixture.file, "user.a").code() == ENODATA);
  REQUIRE(fixture.vfs.setxattr(fixture.file, "user.a", "1", 0).ok());
  fixture.session.sync();
  other.adopt();
  CHECK(other.vfs.getxattr(fixture.file, "user.a").value() == "1");
}
