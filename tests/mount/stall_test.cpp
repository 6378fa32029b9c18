// A request that waits for the database holds up nobody else.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <list>
#include <thread>

#include "eventually.hpp"
#include "fake_session.hpp"
#include "mounted.hpp"
#include "sboxfs/base/text.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// A sandbox with d/1 ... d/N, each with its own contents, written by a session that is gone.
void fill(FakeStore& store, int files) {
  FakeSession writer(store);
  const Ino dir = writer.make_dir(kRootIno, "d");
  for (int i = 1; i <= files; ++i) writer.write_file(dir, cat(i), cat("contents of ", i, "\n"));
  writer.sync();
}

/// Changes something, so that the session has the lease before loads are held.
void take_lease(const Mounted& mounted) { REQUIRE(sh(cat("touch ", mounted.path(), "/lease")) == ""); }

std::string name(const Mounted& mounted, int i) { return cat(mounted.path(), "/d/", i); }

}  // namespace

TEST_CASE("a stalled read holds up neither what is cached nor its own interruption") {
  FakeStore store;
  fill(store, 3);
  Mounted mounted(store);
  REQUIRE(sh(cat("cat ", name(mounted, 1), "; stat -c %n ", name(mounted, 2))) != "");
  {
    MutexLock lock(mounted.state.mu);
    mounted.state.tree.evict(0);
  }
  REQUIRE(sh(cat("stat -c %s ", name(mounted, 1), " ", name(mounted, 2), " ", name(mounted, 3))) == "14\n14\n14\n");
  take_lease(mounted);
  store.hold_loads();
  Shell stalled("exec cat " + name(mounted, 3));
  store.wait_for_held_load();
  CHECK(sh(cat("stat -c %s ", name(mounted, 2))) == "14\n");
  CHECK(sh(cat("test ! -e ", mounted.path(), "/d/none && echo none")) == "none\n");
  CHECK(sh(cat("mkdir ", mounted.path(), "/d/made && rmdir ", mounted.path(), "/d/made && echo made")) == "made\n");
  CHECK_FALSE(stalled.ended());
  stalled.signal(SIGINT);
  CHECK(stalled.ends());
  CHECK(WIFSIGNALED(stalled.status()));
  store.let_loads_go();
  CHECK(sh("cat " + name(mounted, 3)) == "contents of 3\n");
}

TEST_CASE("a caught signal does not fail a wait that ends soon") {
  FakeStore store;
  fill(store, 1);
  Mounted mounted(store);
  store.hold_loads();
  Shell waiting("exec perl -e '$SIG{USR1} = sub {}; print -s $ARGV[0] or die $!' " + name(mounted, 1));
  store.wait_for_held_load();
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  waiting.signal(SIGUSR1);
  while (Clock::now() - start < std::chrono::milliseconds(100) && !waiting.ended())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const bool early = waiting.ended();
  // On a machine that is too busy to get here in time, the wait was a long one: nothing is said about those.
  const bool soon = Clock::now() - start < std::chrono::milliseconds(200);
  store.let_loads_go();
  CHECK(waiting.ends());
  if (!soon) return;
  CHECK_FALSE(early);
  CHECK(waiting.output() == "14");
}

TEST_CASE("look-ups in one directory stall side by side") {
  FakeStore store;
  fill(store, 20);
  FetcherLimits limits;
  limits.directory_page = 4;  // so each name is a load of its own
  Mounted mounted(store, {}, limits);
  REQUIRE(sh(cat("stat -c %s ", name(mounted, 20))) == "15\n");
  store.hold_loads();
  const std::size_t before = store.loads("name");
  std::list<Shell> shells;
  for (int i = 1; i <= 8; ++i) shells.emplace_back("exec stat -c %s " + name(mounted, i));
  CHECK(eventually([&] { return store.loads("name") >= before + 4; }));
  store.let_loads_go();
  for (Shell& shell : shells) {
    CHECK(shell.ends());
    CHECK(shell.output() == "14\n");
  }
}

TEST_CASE("sixty-four reads wait and a stat is answered at once") {
  FakeStore store;
  fill(store, 64);
  Mounted mounted(store);
  REQUIRE(sh(cat("ls -l ", mounted.path(), "/d | wc -l")) == "65\n");
  take_lease(mounted);
  store.hold_loads();
  const std::uint64_t before = mounted.requests("read");
  std::list<Shell> shells;
  for (int i = 1; i <= 64; ++i) shells.emplace_back("exec cat " + name(mounted, i));
  CHECK(eventually([&] { return mounted.requests("read") >= before + 64; }));
  CHECK(sh(cat("test ! -e ", mounted.path(), "/d/none && chmod 600 ", name(mounted, 7), " && stat -c %a ",
               name(mounted, 7))) == "600\n");
  store.let_loads_go();
  int i = 0;
  for (Shell& shell : shells) {
    CHECK(shell.ends());
    CHECK(shell.output() == cat("contents of ", ++i, "\n"));
  }
}

TEST_CASE("more waiting requests than threads are parked, can be interrupted, and are answered in the end") {
  FakeStore store;
  fill(store, 330);
  Mounted mounted(store);
  REQUIRE(sh(cat("ls -l ", mounted.path(), "/d | wc -l")) == "331\n");
  store.hold_loads();
  std::list<Shell> shells;
  for (int i = 1; i <= 330; ++i) shells.emplace_back("exec cat " + name(mounted, i));
  CHECK(eventually([&] { return mounted.requests("read") >= 250; }));
  // Whether it waits in a thread or is parked: an interruption arrives.
  shells.back().signal(SIGKILL);
  shells.front().signal(SIGKILL);
  CHECK(shells.front().ends());
  CHECK(eventually([&] {
    int ended = 0;
    for (Shell& shell : shells) ended += shell.ended() ? 1 : 0;
    return ended >= 1;
  }));
  store.let_loads_go();
  int i = 0;
  for (Shell& shell : shells) {
    ++i;
    CHECK(shell.ends());
    if (i != 1 && i != 330) CHECK(shell.output() == cat("contents of ", i, "\n"));
  }
  CHECK(sh("cat " + name(mounted, 330)) == "contents of 330\n");
}

TEST_CASE("threads that a stall has called end when they are trimmed, and new ones come when they are needed") {
  FakeStore store;
  fill(store, 40);
  Mounted mounted(store);
  const auto threads = [] { return sh(cat("ls /proc/", ::getpid(), "/task | wc -l")); };
  REQUIRE(sh(cat("ls ", mounted.path(), "/d | wc -l")) == "40\n");
  for (int turn = 0; turn < 2; ++turn) {
    mounted.server->trim();
    const int before = std::stoi(threads());
    {
      MutexLock lock(mounted.state.mu);
      mounted.state.tree.evict(0);
    }
    mounted.cache.clear();
    store.hold_loads();
    {
      std::list<Shell> stalled;
      for (int i = 1; i <= 20; ++i)
        stalled.emplace_back(cat("exec head -c ", i + turn, " ", name(mounted, i + 20 * turn)));
      CHECK(eventually([&] { return std::stoi(threads()) > before + 3; }));
      store.let_loads_go();
      for (Shell& shell : stalled) CHECK(shell.ends());
    }
    CHECK(std::stoi(threads()) > before + 3);
    mounted.server->trim();
    CHECK(std::stoi(threads()) <= before + 1);
  }
  CHECK(sh("cat " + name(mounted, 3)) == "contents of 3\n");
}
