#include "sboxfs/exec/mount_point.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/services/home.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;

TEST_CASE("mount point: mountinfo's last line for a path counts, its octal escapes are understood") {
  const std::string mounts =
      "40 22 0:50 / /a\\040b rw - ext4 /dev/x rw\n"
      "41 22 0:51 / /a\\040b rw,nosuid - fuse.sboxfs sboxfs rw\n"
      "42 22 0:52 / /c rw - fuse.sboxfs sboxfs rw\n"
      "43 42 0:53 / /c rw - tmpfs tmpfs rw\n";
  CHECK(mounted_at("/a b", mounts).ours);
  CHECK(mounted_at("/c", mounts).mounted);
  CHECK_FALSE(mounted_at("/c", mounts).ours);
  CHECK_FALSE(mounted_at("/a", mounts).mounted);
}

TEST_CASE("mount point: a missing, busy, full or wrong one is refused, each with an errno of its own") {
  const test::TempDir dir;
  CHECK(check_mount_point(dir.path(), false).ok());
  CHECK(check_mount_point(dir.path() + "/none", false).code() == ENOENT);
  CHECK(check_mount_point("/proc", false).code() == EBUSY);
  REQUIRE(write_text_file(dir.path() + "/file", "x", 0600).ok());
  CHECK(check_mount_point(dir.path(), false).code() == ENOTEMPTY);
  CHECK(check_mount_point(dir.path(), true).ok());
  CHECK(check_mount_point(dir.path() + "/file", false).code() == ENOTDIR);
}

TEST_CASE("mount point: a busy one's processes are found by directory, open file and mapping") {
  const test::TempDir dir;
  const std::string file = dir.path() + "/mapped";
  REQUIRE(write_text_file(file, std::string(4096, 'x'), 0600).ok());
  // The child says when it is in place, and stays until it is killed.
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto in_child = [&](auto prepare) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      prepare();
      [[maybe_unused]] const ssize_t put = ::write(ends[1], "x", 1);
      for (;;) ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ends[0], &byte, 1) == 1);
    return pid;
  };
  const pid_t inside = in_child([&] { [[maybe_unused]] const int moved = ::chdir(dir.path().c_str()); });
  const pid_t opened = in_child([&] { ::open(file.c_str(), O_RDONLY); });
  const pid_t mapped = in_child([&] {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY));
    ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
  });
  const auto users = find_mount_users(dir.path());
  const auto how = [&](pid_t pid) {
    const auto found =
        std::find_if(users.begin(), users.end(), [pid](const MountUser& user) { return user.pid == pid; });
    return found == users.end() ? std::string("not found") : found->how;
  };
  CHECK(how(inside) == "working directory");
  CHECK(how(opened) == "file " + file);
  CHECK(how(mapped) == "mapped " + file);
  for (const pid_t pid : {inside, opened, mapped}) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK(find_mount_users(dir.path()).empty());
}
