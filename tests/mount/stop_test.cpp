// How a mount ends.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <chrono>

#include "eventually.hpp"
#include "fake_session.hpp"
#include "mounted.hpp"
#include "sboxfs/base/text.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string mounts_of(const Mounted& mounted) {
  return sh(cat("grep -c ' ", mounted.path(), " ' /proc/self/mountinfo || :"));
}

}  // namespace

TEST_CASE("stop ends a mount that is in use within a second") {
  FakeStore store;
  Mounted mounted(store);
  Shell user(cat("cd ", mounted.path(), " && exec 3> f && echo ready && sleep 100"));
  REQUIRE(eventually([&] { return mounted.requests("create") == 1; }));
  CHECK(seconds_of([&] {
          mounted.server->stop();
          CHECK(eventually([&] { return mounted.ended(); }));
        }) < 1);
  CHECK(mounts_of(mounted) == "0\n");
}

TEST_CASE("an outside umount ends serve") {
  FakeStore store;
  Mounted mounted(store);
  REQUIRE(sh(cat("echo x > ", mounted.path(), "/f; umount ", mounted.path())) == "");
  CHECK(eventually([&] { return mounted.ended(); }));
}

TEST_CASE("who still uses a stopped mount gets an error, and does not hang") {
  FakeStore store;
  Mounted mounted(store);
  Shell user(cat("cd ", mounted.path(), " && exec 3> f && echo x >&3 && cd / && while ! test -e ", mounted.path(),
                 "-go; do sleep 0.02; done; echo more >&3 || echo refused"));
  REQUIRE(eventually([&] { return mounted.requests("write") >= 1; }));
  mounted.server->stop();
  REQUIRE(eventually([&] { return mounted.ended(); }));
  REQUIRE(sh(cat("touch ", mounted.path(), "-go")) == "");
  CHECK(user.ends());
  CHECK(user.output().find("refused") != std::string::npos);
  sh(cat("rm -f ", mounted.path(), "-go"));
}

TEST_CASE("mapped pages are written back by stop, and a notification after it does not hang") {
  FakeStore store;
  Mounted mounted(store);
  const std::string python = cat(R"(python3 -c '
import mmap, os, sys, time
f = os.open(")",
                                 mounted.path(), R"(/m", os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 4096)
m = mmap.mmap(f, 4096)
m[0:5] = b"dirty"
print("ready", flush=True)
time.sleep(100)')");
  Shell user(python);
  REQUIRE(eventually([&] {
    user.ended();
    return user.output() == "ready\n";
  }));
  Ino ino = 0;
  {
    MutexLock lock(mounted.state.mu);
    REQUIRE(mounted.state.open_for_writing.size() == 1);
    ino = *mounted.state.open_for_writing.begin();
  }
  CHECK(seconds_of([&] {
          mounted.server->stop();
          CHECK(eventually([&] { return mounted.ended(); }));
          mounted.server->inval_inode(ino, 0, 0);
        }) < 1);
  mounted.give_up_lease();
  FakeSession second(store);
  const Result<Found> file = second.find("m");
  REQUIRE(file.ok());
  CHECK(second.read_file(file->ino).value().substr(0, 6) == std::string("dirty\0", 6));
}

TEST_CASE("stop does not wait for a database that hangs") {
  FakeStore store;
  {
    FakeSession writer(store);
    writer.write_file(kRootIno, "f", "contents");
    writer.sync();
  }
  Mounted mounted(store);
  REQUIRE(sh(cat("stat -c %s ", mounted.path(), "/f")) == "8\n");
  store.hold_loads();
  Shell stalled(cat("exec cat ", mounted.path(), "/f"));
  store.wait_for_held_load();
  CHECK(seconds_of([&] {
          mounted.server->stop();
          CHECK(eventually([&] { return mounted.ended(); }));
        }) < 4);
  CHECK(stalled.ends());
  CHECK(WEXITSTATUS(stalled.status()) == 1);
}
