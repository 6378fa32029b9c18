#include "sboxfs/cli/mount_options.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;
using namespace sboxfs::cli;

TEST_CASE("mount options: each word sets what it names, a later word wins") {
  SessionOptions session;
  MountPointOptions mount_point;
  REQUIRE(apply_mount_options("ro,cto,allow_other,dev,suid,noatime,strict,uid=1000,gid=100,local_lock,nonempty",
                              session, mount_point)
              .ok());
  CHECK(session.vfs.read_only);
  CHECK(session.vfs.durability == Durability::cto);
  CHECK(session.allow_other);
  CHECK(session.dev);
  CHECK(session.suid);
  CHECK(session.vfs.atime == Atime::never);
  CHECK(session.vfs.strict);
  CHECK(session.vfs.uid == 1000);
  CHECK(session.vfs.gid == 100);
  CHECK(session.local_lock);
  CHECK(mount_point.nonempty);
  REQUIRE(apply_mount_options("sync,rw,nodev,nosuid,async", session, mount_point).ok());
  CHECK_FALSE(session.vfs.read_only);
  CHECK(session.vfs.durability == Durability::async);
  CHECK_FALSE(session.dev);
  CHECK_FALSE(session.suid);
}

TEST_CASE("mount options: exec and the words about access times") {
  SessionOptions session;
  MountPointOptions mount_point;
  CHECK(session.vfs.atime == Atime::relative);
  CHECK_FALSE(session.noexec);
  REQUIRE(apply_mount_options("noexec,strictatime,nodiratime", session, mount_point).ok());
  CHECK(session.noexec);
  CHECK(session.vfs.atime == Atime::always);
  CHECK(session.vfs.nodiratime);
  REQUIRE(apply_mount_options("exec,relatime,diratime,dirsync", session, mount_point).ok());
  CHECK_FALSE(session.noexec);
  CHECK(session.vfs.atime == Atime::relative);
  CHECK_FALSE(session.vfs.nodiratime);
  CHECK(session.vfs.durability == Durability::sync);
}

TEST_CASE("mount options: words for mount(8) change nothing") {
  SessionOptions session;
  MountPointOptions mount_point;
  CHECK(apply_mount_options("defaults,noauto,_netdev,nofail,user,group,silent,lazytime,comment=x,x-systemd.automount,,"
                            "default_permissions",
                            session, mount_point)
            .ok());
  CHECK_FALSE(session.vfs.read_only);
  CHECK_FALSE(session.allow_other);
}

TEST_CASE("mount options: an unknown word or a bad value is an error that names it") {
  SessionOptions session;
  MountPointOptions mount_point;
  CHECK(apply_mount_options("ro,fast", session, mount_point).error().what == "unknown mount option 'fast'");
  CHECK(apply_mount_options("exclusive=1", session, mount_point).code() == EINVAL);
  for (const char* bad : {"uid=", "uid=root", "uid=-1", "gid=1x", "uid"}) {
    CAPTURE(bad);
    CHECK(apply_mount_options(bad, session, mount_point).code() == EINVAL);
  }
}
