// Which of setuid, setgid and file capabilities go, when, and for whom (FUSE_HANDLE_KILLPRIV_V2 leaves it to the vfs).
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../../../src/vfs/credentials.hpp"
#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

const std::string kCapability = "security.capability";

struct Fixture {
  FakeStore store;
  FakeSession session{store};
  Vfs& vfs{session.vfs};
  Ino file = session.write_file(kRootIno, "f", "contents");

  /// The file belongs to alice's user and group `gid`, has this mode and a capability.
  void make(mode_t mode, gid_t gid) {
    AttrChange owner;
    owner.uid = session.alice.uid;
    owner.gid = gid;
    REQUIRE(vfs.setattr(session.root, file, owner, nullptr).ok());
    AttrChange bits;
    bits.mode = mode;
    REQUIRE(vfs.setattr(session.root, file, bits, nullptr).ok());
    REQUIRE(vfs.setxattr(file, kCapability, "x", 0).ok());
  }
  mode_t mode() { return vfs.getattr(file, nullptr)->attr.mode & 07777U; }
  bool capable() { return vfs.getxattr(file, kCapability).ok(); }
};

struct Row {
  mode_t before;
  gid_t gid;
  bool privileged;  ///< CAP_FSETID: the kernel does not ask for the bits to be cleared
  mode_t after;
};

constexpr gid_t kOurs = 1000;
constexpr gid_t kOthers = 77;

// write(2), truncate(2), open(2) with O_TRUNC.
constexpr Row kRows[] = {
    {06755, kOurs, false, 0755}, {06755, kOthers, false, 0755}, {06755, kOthers, true, 06755},
    {04644, kOurs, false, 0644}, {02745, kOurs, false, 02745},  {02745, kOthers, false, 0745},
    {02755, kOurs, false, 0755}, {02745, kOthers, true, 02745}, {01644, kOurs, false, 01644},
};

}  // namespace

TEST_CASE("killpriv: write") {
  for (const Row& row : kRows) {
    Fixture f;
    f.make(row.before, row.gid);
    const auto handle = f.session.open(f.file, O_WRONLY);
    bool differs = false;
    REQUIRE(f.vfs.write(*handle, 0, "x", {!row.privileged, f.session.alice}, differs).ok());
    CHECK(f.mode() == row.after);
    CHECK_FALSE(f.capable());
    CHECK(differs);
    REQUIRE(f.vfs.write(*handle, 1, "x", {!row.privileged, f.session.alice}, differs).ok());
    CHECK_FALSE(differs);
    check_committed(f.session);
  }
}

TEST_CASE("killpriv: truncate and O_TRUNC") {
  for (const Row& row : kRows) {
    for (const bool open : {false, true}) {
      Fixture f;
      f.make(row.before, row.gid);
      if (open) {
        auto handle = f.vfs.open(f.file, O_WRONLY | O_TRUNC, {!row.privileged, f.session.alice});
        REQUIRE(handle.ok());
        CHECK((*handle)->cleared);
        f.vfs.release(std::move(*handle));
      } else {
        AttrChange change;
        change.size = 3;
        change.kill_suid = !row.privileged;
        REQUIRE(f.vfs.setattr(f.session.alice, f.file, change, nullptr).ok());
      }
      CHECK(f.mode() == row.after);
      CHECK_FALSE(f.capable());
      check_committed(f.session);
    }
  }
}

TEST_CASE("killpriv: chown clears for everybody, setgid without group execute only for who is not in the group") {
  for (const bool nothing : {false, true}) {
    Fixture f;
    AttrChange change;
    change.we_kill = true;
    if (!nothing) change.gid = 5;
    f.make(06755, kOthers);
    REQUIRE(f.vfs.setattr(f.session.root, f.file, change, nullptr).ok());
    CHECK(f.mode() == 0755);
    CHECK_FALSE(f.capable());
    f.make(02745, kOthers);
    REQUIRE(f.vfs.setattr(f.session.root, f.file, change, nullptr).ok());
    CHECK(f.mode() == 02745);
    f.make(02745, kOthers);
    REQUIRE(f.vfs.setattr(f.session.alice, f.file, change, nullptr).ok());
    CHECK(f.mode() == 0745);
    check_committed(f.session);
  }
}

TEST_CASE("killpriv: a stranger's chown of nothing may not clear bits, unless it may be a write's forerunner") {
  Fixture f;
  const Caller stranger{2000, 2000, 99, 022};
  f.make(04755, kOthers);
  AttrChange nothing;
  nothing.we_kill = true;
  Credentials capabilities;
  f.vfs.credentials = [&](const Caller&) { return capabilities; };
  CHECK(f.vfs.setattr(stranger, f.file, nothing, nullptr).code() == EPERM);
  CHECK(f.mode() == 04755);
  capabilities.fowner = true;
  CHECK(f.vfs.setattr(stranger, f.file, nothing, nullptr).ok());
  CHECK(f.mode() == 0755);
  f.make(04755, kOthers);
  capabilities.fowner = false;
  auto handle = f.session.open(f.file, O_WRONLY);
  CHECK(f.vfs.setattr(stranger, f.file, nothing, nullptr).ok());
  CHECK(f.mode() == 0755);
  // There is nothing to clear: what everybody may do.
  f.vfs.release(std::move(handle));
  CHECK(f.vfs.setattr(stranger, f.file, nothing, nullptr).ok());
}

TEST_CASE("killpriv: a change of nothing clears nothing where the kernel does it itself, nor of a directory") {
  Fixture f;
  f.make(06755, kOurs);
  REQUIRE(f.vfs.setattr(f.session.alice, f.file, {}, nullptr).ok());
  CHECK(f.mode() == 06755);
  const Ino dir = f.session.make_dir(kRootIno, "d");
  AttrChange bits;
  bits.mode = 06755;
  REQUIRE(f.vfs.setattr(f.session.root, dir, bits, nullptr).ok());
  AttrChange nothing;
  nothing.we_kill = true;
  CHECK((f.vfs.setattr(f.session.alice, dir, nothing, nullptr)->attr.mode & 07777U) == 06755);
}

TEST_CASE("killpriv: times leave the bits alone") {
  Fixture f;
  f.make(06755, kOurs);
  AttrChange times;
  times.mtime_now = times.we_kill = true;
  REQUIRE(f.vfs.setattr(f.session.alice, f.file, times, nullptr).ok());
  CHECK(f.mode() == 06755);
  CHECK(f.capable());
}

TEST_CASE("killpriv: an access ACL set by somebody outside the group clears setgid") {
  Fixture f;
  f.make(02755, kOthers);
  const std::string minimal(
      "\x02\0\0\0"
      "\x01\0\x07\0\xff\xff\xff\xff"
      "\x04\0\x05\0\xff\xff\xff\xff"
      "\x20\0\x05\0\xff\xff\xff\xff",
      28);
  REQUIRE(f.vfs.setxattr(f.file, "system.posix_acl_access", minimal, 0, false).ok());
  CHECK(f.mode() == 02755);
  REQUIRE(f.vfs.setxattr(f.file, "system.posix_acl_access", minimal, 0, true).ok());
  CHECK(f.mode() == 0755);
}

TEST_CASE("credentials: groups and capabilities as proc(5) writes them") {
  const Caller alice{1000, 1000, 2, 022};
  const Credentials user = parse_credentials(alice, "Name:\tx\nGroups:\t4 24 1000 \nCapEff:\t0000000000000000\n");
  CHECK(user.in_group(24));
  CHECK(user.in_group(1000));
  CHECK_FALSE(user.in_group(2));
  CHECK_FALSE(user.fsetid);
  CHECK_FALSE(user.sys_admin);
  const Credentials root = parse_credentials({0, 0, 1, 0}, "Groups:\t\nCapEff:\t000001ffffffffff\n");
  CHECK(root.groups == std::vector<gid_t>{0});
  CHECK(root.fsetid);
  CHECK(root.sys_admin);
  const Credentials some = parse_credentials(alice, "Groups:\t5\nCapEff:\t0000000000000010\n");
  CHECK(some.fsetid);
  CHECK_FALSE(some.sys_admin);
  CHECK(parse_credentials({0, 7, 1, 0}, "").fsetid);
  CHECK_FALSE(parse_credentials(alice, "").fsetid);
  CHECK(read_credentials({0, 99, ::getpid(), 0}).in_group(99));
}

TEST_CASE("listxattr: trusted names are for administrators") {
  Fixture f;
  REQUIRE(f.vfs.setxattr(f.file, "trusted.t", "x", 0).ok());
  REQUIRE(f.vfs.setxattr(f.file, "user.u", "x", 0).ok());
  CHECK(f.vfs.listxattr(f.session.root, f.file).value() == std::vector<std::string>{"trusted.t", "user.u"});
  CHECK(f.vfs.listxattr(f.session.alice, f.file).value() == std::vector<std::string>{"user.u"});
}
