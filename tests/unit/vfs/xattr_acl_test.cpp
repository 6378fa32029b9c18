// POSIX ACLs. The values are built here by hand, in the format of linux/posix_acl_xattr.h.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

const std::string kAccess = "system.posix_acl_access";
const std::string kDefault = "system.posix_acl_default";

constexpr std::uint32_t kNobody = ~std::uint32_t{0};

struct Entry {
  std::uint16_t tag;
  std::uint16_t perm;
  std::uint32_t id;
};

Entry user(std::uint16_t perm) { return {0x01, perm, kNobody}; }
Entry named_user(std::uint32_t id, std::uint16_t perm) { return {0x02, perm, id}; }
Entry group(std::uint16_t perm) { return {0x04, perm, kNobody}; }
Entry named_group(std::uint32_t id, std::uint16_t perm) { return {0x08, perm, id}; }
Entry mask(std::uint16_t perm) { return {0x10, perm, kNobody}; }
Entry other(std::uint16_t perm) { return {0x20, perm, kNobody}; }

void append(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

std::string acl(const std::vector<Entry>& entries, std::uint32_t version = 2) {
  std::string out;
  append(out, version, 4);
  for (const Entry& entry : entries) {
    append(out, entry.tag, 2);
    append(out, entry.perm, 2);
    append(out, entry.id, 4);
  }
  return out;
}

struct Fixture {
  FakeStore store;
  FakeSession session{store};
  Vfs& vfs = session.vfs;
  Ino file = session.write_file(kRootIno, "f", "x");
  Ino dir = vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;

  mode_t mode(const std::string& path) { return session.find(path)->attr.mode & 07777U; }
};

}  // namespace

TEST_CASE("acl: an access ACL sets the mode, group from the mask") {
  Fixture fixture;
  const std::string value = acl({user(7), named_user(5, 6), group(1), mask(5), other(4)});
  REQUIRE(fixture.vfs.setxattr(fixture.file, kAccess, value, 0).ok());
  CHECK(fixture.mode("f") == 0754);
  CHECK(fixture.vfs.getxattr(fixture.file, kAccess).value() == value);
  check_committed(fixture.session);
}

TEST_CASE("acl: one that says no more than a mode is kept as the mode") {
  Fixture fixture;
  REQUIRE(fixture.vfs.setxattr(fixture.file, kAccess, acl({user(6), named_user(5, 4), group(4), mask(4), other(0)}), 0)
              .ok());
  REQUIRE(fixture.vfs.setxattr(fixture.file, kAccess, acl({user(7), group(5), other(1)}), 0).ok());
  CHECK(fixture.mode("f") == 0751);
  CHECK(fixture.vfs.getxattr(fixture.file, kAccess).code() == ENODATA);
  CHECK(fixture.session.find("f")->attr.flags == 0);
  check_committed(fixture.session);
}

TEST_CASE("acl: chmod changes owner, mask and other, and leaves the named entries") {
  Fixture fixture;
  REQUIRE(fixture.vfs
              .setxattr(fixture.file, kAccess,
                        acl({user(7), named_user(5, 6), group(4), named_group(9, 2), mask(7), other(4)}), 0)
              .ok());
  fixture.session.sync();
  fixture.session.evict();
  AttrChange change;
  change.mode = 0640;
  REQUIRE(fixture.vfs.setattr(fixture.session.root, fixture.file, change, nullptr).ok());
  CHECK(fixture.vfs.getxattr(fixture.file, kAccess).value() ==
        acl({user(6), named_user(5, 6), group(4), named_group(9, 2), mask(4), other(0)}));
  check_committed(fixture.session);
}

TEST_CASE("acl: setuid, setgid and sticky survive an access ACL") {
  Fixture fixture;
  AttrChange change;
  change.mode = 03755;
  REQUIRE(fixture.vfs.setattr(fixture.session.root, fixture.dir, change, nullptr).ok());
  REQUIRE(fixture.vfs.setxattr(fixture.dir, kAccess, acl({user(7), group(0), other(0)}), 0).ok());
  CHECK(fixture.mode("d") == 03700);
}

TEST_CASE("acl: malformed values are EINVAL and change nothing") {
  Fixture fixture;
  const std::vector<std::string> bad = {
      "",
      "abc",
      acl({user(7), group(5), other(5)}, 1),
      acl({user(7), group(5), other(5)}) + "x",
      acl({user(7), group(5)}),
      acl({user(7), user(7), group(5), other(5)}),
      acl({user(8), group(5), other(5)}),
      acl({user(7), named_user(1, 7), group(5), other(5)}),
      acl({group(5), user(7), other(5)}),
      acl({user(7), group(5), mask(5), mask(5), other(5)}),
      acl({user(7), group(5), other(5), {0x40, 0, kNobody}}),

      acl({user(7), named_user(kNobody, 7), group(5), mask(7), other(5)}),
  };
  for (const std::string& value : bad) {
    CHECK(fixture.vfs.setxattr(fixture.file, kAccess, value, 0).code() == EINVAL);
    CHECK(fixture.vfs.setxattr(fixture.dir, kDefault, value, 0).code() == EINVAL);
  }
  CHECK(fixture.mode("f") == 0644);
  CHECK(fixture.vfs.listxattr(fixture.session.root, fixture.dir)->empty());
}

TEST_CASE("acl: a default ACL belongs to directories") {
  Fixture fixture;
  const std::string value = acl({user(7), group(5), other(0)});
  CHECK(fixture.vfs.setxattr(fixture.file, kDefault, value, 0).code() == EACCES);
  REQUIRE(fixture.vfs.setxattr(fixture.dir, kDefault, value, 0).ok());
  CHECK(fixture.mode("d") == 0755);
  CHECK(fixture.vfs.getxattr(fixture.dir, kDefault).value() == value);
  REQUIRE(fixture.vfs.setxattr(fixture.dir, kDefault, acl({}), 0).ok());
  CHECK(fixture.vfs.getxattr(fixture.dir, kDefault).code() == ENODATA);
  check_committed(fixture.session);
}

TEST_CASE("acl: a new file gets the default ACL narrowed by its mode, not by the umask") {
  Fixture fixture;
  REQUIRE(fixture.vfs.setxattr(fixture.dir, kDefault, acl({user(7), named_user(5, 7), group(7), mask(7), other(5)}), 0)
              .ok());
  fixture.session.sync();
  fixture.session.evict();
  const Result<Found> made = fixture.vfs.mknod({1000, 1000, 1, 077}, fixture.dir, "f", S_IFREG | 0640, 0);
  REQUIRE(made.ok());
  CHECK((made->attr.mode & 07777U) == 0640);
  CHECK(fixture.vfs.getxattr(made->ino, kAccess).value() ==
        acl({user(6), named_user(5, 7), group(7), mask(4), other(0)}));
  CHECK(fixture.vfs.getxattr(made->ino, kDefault).code() == ENODATA);
  check_committed(fixture.session);
}

TEST_CASE("acl: a new directory hands the default ACL on") {
  Fixture fixture;
  const std::string value = acl({user(7), group(5), named_group(5, 5), mask(5), other(0)});
  REQUIRE(fixture.vfs.setxattr(fixture.dir, kDefault, value, 0).ok());
  const Ino made = fixture.vfs.mkdir({1000, 1000, 1, 077}, fixture.dir, "e", 0777)->ino;
  CHECK(fixture.mode("d/e") == 0750);
  CHECK(fixture.vfs.getxattr(made, kDefault).value() == value);
  CHECK(fixture.vfs.getxattr(made, kAccess).value() == value);
  check_committed(fixture.session);
}

TEST_CASE("acl: a default ACL without named entries becomes a mode") {
  Fixture fixture;
  REQUIRE(fixture.vfs.setxattr(fixture.dir, kDefault, acl({user(7), group(5), other(0)}), 0).ok());
  const Found made = *fixture.vfs.mknod({1000, 1000, 1, 0777}, fixture.dir, "f", S_IFREG | 0666, 0);
  CHECK((made.attr.mode & 07777U) == 0640);
  CHECK(made.attr.flags == 0);
  CHECK(fixture.vfs.symlink({1000, 1000, 1, 077}, fixture.dir, "l", "t")->attr.mode == (S_IFLNK | 0777U));
  check_committed(fixture.session);
}

TEST_CASE("acl: removing one that is not there is no error, and the mode stays") {
  Fixture fixture;
  CHECK(fixture.vfs.removexattr(fixture.dir, kDefault).ok());
  REQUIRE(fixture.vfs.setxattr(fixture.file, kAccess, acl({user(6), named_user(5, 4), group(4), mask(6), other(0)}), 0)
              .ok());
  CHECK(fixture.vfs.removexattr(fixture.file, kAccess).ok());
  CHECK(fixture.mode("f") == 0660);
  check_committed(fixture.session);
}
