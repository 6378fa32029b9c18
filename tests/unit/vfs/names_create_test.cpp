#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {
constexpr dev_t kNullDevice = (1 << 8) | 3;
}

TEST_CASE("create: owner, masked mode, times and the directory's times are those of creat(2)") {
  FakeStore store;
  FakeSession session(store);
  session.clock.advance(5 * kSecondNs);
  Result<Vfs::Created> made = session.vfs.create(session.alice, kRootIno, "f", 0666, O_CREAT | O_WRONLY);
  REQUIRE(made.ok());
  const Attr& attr = made->found.attr;
  CHECK(attr.mode == (S_IFREG | 0644U));
  CHECK(attr.uid == 1000);
  CHECK(attr.gid == 1000);
  CHECK(attr.nlink == 1);
  CHECK(attr.mtime == session.clock.wall_ns());
  CHECK(attr.ctime == attr.mtime);
  CHECK(attr.atime == attr.mtime);
  const Attr root = session.find("")->attr;
  CHECK(root.mtime == attr.mtime);
  CHECK(root.ctime == attr.mtime);
  CHECK(root.nlink == 2);
  session.vfs.release(std::move(made->handle));
  check_committed(session);
}

TEST_CASE("create: a file that another mount made meanwhile is left to the kernel's own open") {
  FakeStore store;
  FakeSession session(store);
  session.write_file(kRootIno, "f", "contents");
  CHECK(session.vfs.create(session.alice, kRootIno, "f", 0666, O_CREAT | O_EXCL | O_WRONLY).code() == EEXIST);
  CHECK(session.vfs.create(session.alice, kRootIno, "f", 0666, O_CREAT | O_TRUNC | O_WRONLY).code() == ESTALE);
  CHECK(session.find("f")->attr.size == 8);
}

TEST_CASE("mkdir: links of the directory and of its parent") {
  FakeStore store;
  FakeSession session(store);
  const Result<Found> dir = session.vfs.mkdir(session.alice, kRootIno, "d", 0777);
  REQUIRE(dir.ok());
  CHECK(dir->attr.mode == (S_IFDIR | 0755U));
  CHECK(dir->attr.nlink == 2);
  CHECK(session.find("")->attr.nlink == 3);
  REQUIRE(session.vfs.mkdir(session.alice, dir->ino, "e", 0700).ok());
  CHECK(session.find("d")->attr.nlink == 3);
  CHECK(session.vfs.mkdir(session.alice, kRootIno, "d", 0777).code() == EEXIST);
  check_committed(session);
}

TEST_CASE("mkdir: a setgid directory hands down its group, and to directories the bit") {
  FakeStore store;
  FakeSession session(store);
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  AttrChange change;
  change.gid = 77;
  REQUIRE(session.vfs.setattr(session.root, dir, change, nullptr).ok());
  change = {};
  change.mode = 02775;
  REQUIRE(session.vfs.setattr(session.root, dir, change, nullptr).ok());
  const Attr below = session.vfs.mkdir(session.alice, dir, "e", 0755)->attr;
  CHECK(below.gid == 77);
  CHECK(below.mode == (S_IFDIR | S_ISGID | 0755U));
  const Attr file = session.vfs.mknod(session.alice, dir, "f", S_IFREG | 0644, 0)->attr;
  CHECK(file.gid == 77);
  CHECK(file.uid == 1000);
  CHECK(file.mode == (S_IFREG | 0644U));
  check_committed(session);
}

TEST_CASE("mknod: devices, fifos and sockets keep their type and number") {
  FakeStore store;
  FakeSession session(store);
  const Attr device = session.vfs.mknod(session.root, kRootIno, "null", S_IFCHR | 0666, kNullDevice)->attr;
  CHECK(device.mode == (S_IFCHR | 0644U));
  CHECK(device.rdev == kNullDevice);
  CHECK(S_ISFIFO(session.vfs.mknod(session.root, kRootIno, "p", S_IFIFO | 0644, 0)->attr.mode));
  CHECK(S_ISSOCK(session.vfs.mknod(session.root, kRootIno, "s", S_IFSOCK | 0644, 0)->attr.mode));
  check_committed(session);
}

TEST_CASE("symlink: any target of 1 to 4095 bytes, mode 0777 whatever the umask") {
  FakeStore store;
  FakeSession session(store);
  const Found link = *session.vfs.symlink(session.alice, kRootIno, "l", "no/such/place");
  CHECK(link.attr.mode == (S_IFLNK | 0777U));
  CHECK(link.attr.size == 13);
  CHECK(*session.vfs.readlink(link.ino) == "no/such/place");
  CHECK(session.vfs.symlink(session.alice, kRootIno, "empty", "").code() == ENOENT);
  CHECK(session.vfs.symlink(session.alice, kRootIno, "long", std::string(4096, 'x')).code() == ENAMETOOLONG);
  CHECK(session.vfs.symlink(session.alice, kRootIno, "longest", std::string(4095, 'x')).ok());
  CHECK(session.vfs.readlink(kRootIno).code() == EINVAL);
  check_committed(session);
}

TEST_CASE("link: one more link, ctime of the inode and both times of the directory") {
  FakeStore store;
  FakeSession session(store);
  const Ino file = session.write_file(kRootIno, "f", "x");
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  session.sync();
  const std::int64_t before = session.clock.wall_ns();
  session.clock.advance(kSecondNs);
  const Found linked = *session.vfs.link(file, dir, "g");
  CHECK(linked.ino == file);
  CHECK(linked.attr.nlink == 2);
  CHECK(linked.attr.mtime == before);
  CHECK(linked.attr.ctime == before + kSecondNs);
  CHECK(session.find("d")->attr.mtime == before + kSecondNs);
  CHECK(session.vfs.link(file, dir, "g").code() == EEXIST);
  CHECK(session.vfs.link(dir, kRootIno, "e").code() == EPERM);
  CHECK(session.vfs.link(file, file, "e").code() == ENOTDIR);
  check_committed(session);
}

TEST_CASE("names: too long, or not a name") {
  FakeStore store;
  FakeSession session(store);
  const std::string longest(255, 'n');
  CHECK(session.vfs.mkdir(session.root, kRootIno, longest, 0755).ok());
  CHECK(session.vfs.mkdir(session.root, kRootIno, longest + "n", 0755).code() == ENAMETOOLONG);
  CHECK(session.vfs.unlink(kRootIno, longest + "n").code() == ENAMETOOLONG);
  std::uint64_t absent = 0;
  CHECK(session.vfs.lookup(kRootIno, longest + "n", absent).code() == ENAMETOOLONG);
  for (const char* name : {"", ".", "..", "a/b"})
    CHECK(session.vfs.mkdir(session.root, kRootIno, name, 0755).code() == EINVAL);
  check_committed(session);
}

TEST_CASE("names: any bytes but slash and NUL are a name") {
  FakeStore store;
  FakeSession session(store);
  std::string bytes;
  for (int byte = 1; byte < 256; ++byte)
    if (byte != '/') bytes.push_back(static_cast<char>(byte));
  CHECK(session.vfs.mkdir(session.root, kRootIno, bytes, 0755).ok());
  CHECK(session.list(kRootIno).value() == std::vector<std::string>{bytes});
  check_committed(session);
}

TEST_CASE("names: nothing can be made in a directory that was removed") {
  FakeStore store;
  FakeSession session(store);
  const Ino dir = session.vfs.mkdir(session.root, kRootIno, "d", 0755)->ino;
  const Ino file = session.write_file(kRootIno, "f", "");
  REQUIRE(session.vfs.rmdir(kRootIno, "d").ok());
  for (int round = 0; round < 2; ++round) {
    CHECK(session.vfs.mkdir(session.root, dir, "e", 0755).code() == ENOENT);
    CHECK(session.vfs.create(session.root, dir, "e", 0644, O_CREAT).code() == ENOENT);
    CHECK(session.vfs.symlink(session.root, dir, "e", "t").code() == ENOENT);
    CHECK(session.vfs.link(file, dir, "e").code() == ENOENT);
    CHECK(session.vfs.rename(kRootIno, "f", dir, "e", 0).code() == ENOENT);
    std::uint64_t absent = 0;
    CHECK(session.vfs.lookup(dir, "e", absent).code() == ENOENT);
    session.sync();
  }
  check_committed(session);
}

TEST_CASE("names: -o uid and gid show every file as theirs and store the mounting user's") {
  FakeStore store;
  VfsOptions options;
  options.uid = 4242;
  options.gid = 4343;
  FakeSession session(store, options);
  const Found dir = *session.vfs.mkdir(session.alice, kRootIno, "d", 0755);
  CHECK(dir.attr.uid == 4242);
  CHECK(dir.attr.gid == 4343);
  session.sync();
  CHECK(store.rows().inodes.at(dir.ino).attr.uid == geteuid());
  CHECK(store.rows().inodes.at(dir.ino).attr.gid == getegid());
  AttrChange change;
  change.uid = change.gid = 9;
  const Result<Found> changed = session.vfs.setattr(session.alice, dir.ino, change, nullptr);
  REQUIRE(changed.ok());
  CHECK(changed->attr.uid == 4242);
  session.sync();
  CHECK(store.rows().inodes.at(dir.ino).attr.uid == geteuid());
}
