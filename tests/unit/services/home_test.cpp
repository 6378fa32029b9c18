#include "sboxfs/services/home.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "sboxfs/base/text_file.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;

TEST_CASE("home: SBOXFS_HOME decides, without its trailing slash, and must be absolute") {
  ::setenv("SBOXFS_HOME", "/srv/box/", 1);
  CHECK(Home::from_environment()->root == "/srv/box");
  ::setenv("SBOXFS_HOME", "box", 1);
  CHECK(Home::from_environment().code() == EINVAL);
  ::unsetenv("SBOXFS_HOME");
}

TEST_CASE("home: sockets stay below the home while their paths fit, else go to a short place of the home's own") {
  const Home home{"/srv/box"};
  CHECK(home.socket_dir("/srv/box/sockets", 13) == "/srv/box/sockets");
  const std::string fits(kLongestSocketPath - 14, 'x');
  CHECK(home.socket_dir(fits, 13) == fits);
  const std::string long_one(kLongestSocketPath - 13, 'x');
  const std::string elsewhere = home.socket_dir(long_one, 13);
  CHECK(elsewhere != long_one);
  CHECK(elsewhere.size() + 14 < kLongestSocketPath);
  CHECK(home.socket_dir(long_one + "y", 13) != elsewhere);
}

TEST_CASE("home: a path below a mount of type fuse.sboxfs is told from one beside it") {
  const std::string mounts =
      "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
      "40 22 0:50 / /nowhere/my\\040box rw,nosuid - fuse.sboxfs sboxfs rw\n"
      "41 40 8:2 / /nowhere/my\\040box/inner rw - ext4 /dev/sdb1 rw\n";
  CHECK(inside_sboxfs_mount("/nowhere/my box/home", mounts));
  CHECK(inside_sboxfs_mount("/nowhere/my box", mounts));
  CHECK_FALSE(inside_sboxfs_mount("/nowhere/my boxes", mounts));
  CHECK_FALSE(inside_sboxfs_mount("/nowhere/my box/inner/home", mounts));
  CHECK_FALSE(inside_sboxfs_mount("/nowhere", mounts));
}

TEST_CASE("home: a private directory is made 0700 and a symlink in its place is refused") {
  const test::TempDir dir;
  const std::string path = dir.path() + "/private";
  CHECK(make_private_directory(path, ::geteuid(), ::getegid()).ok());
  struct stat attr {};
  REQUIRE(::stat(path.c_str(), &attr) == 0);
  CHECK((attr.st_mode & 07777) == 0700);
  const std::string link = dir.path() + "/link";
  std::filesystem::create_directory_symlink(path, link);
  CHECK_FALSE(make_private_directory(link, ::geteuid(), ::getegid()).ok());
}

TEST_CASE("home: the lock excludes a second holder until it is let go") {
  const test::TempDir dir;
  const std::string path = dir.path() + "/lock";
  auto first = lock_file(path);
  REQUIRE(first.ok());
  CHECK(try_lock_file(path).code() == EWOULDBLOCK);
  first->reset();
  CHECK(try_lock_file(path).ok());
}

TEST_CASE("home: a text file is replaced as a whole and keeps no temporary beside it") {
  const test::TempDir dir;
  const std::string path = dir.path() + "/file";
  REQUIRE(write_text_file(path, "one", 0600).ok());
  REQUIRE(write_text_file(path, "two", 0600).ok());
  CHECK(*read_text_file(path) == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}
