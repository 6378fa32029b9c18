// File locks through the kernel: two mounts, waiting requests that hold no thread, interruption, loss.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <list>

#include "eventually.hpp"
#include "fake_session.hpp"
#include "mounted.hpp"
#include "sboxfs/base/text.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Pair {
  Pair() {
    FakeSession writer(store);
    ino = writer.write_file(kRootIno, "f", "contents\n");
    writer.sync();
  }
  FakeStore store;
  FakeRedis redis;
  FakeLockRows rows;
  Ino ino = 0;
};

/// Holds a lock on the descriptor's file until its standard input ends... here: until it is killed.
std::string holder(const Mounted& mounted, const char* how) {
  return cat("exec 3< ", mounted.path(), "/f; flock ", how, " 3; echo locked; exec sleep 1000");
}

}  // namespace

TEST_CASE("flock holds across mounts, and goes with its process") {
  Pair both;
  Mounted a(both.store, both.rows, both.redis), b(both.store, both.rows, both.redis);
  {
    Shell first(holder(a, "-x"));
    REQUIRE(eventually([&] { return !first.ended() && first.output() == "locked\n"; }));
    CHECK(sh(cat("flock -n -s ", b.path(), "/f true || echo busy")) == "busy\n");
    CHECK(sh(cat("flock -n -s ", a.path(), "/f true || echo busy")) == "busy\n");
    Shell waiting(cat("exec flock -x ", b.path(), "/f echo mine"));
    REQUIRE(eventually([&] { return both.rows.waiting() == 1; }));
    CHECK(!waiting.ended());
    first.signal(SIGKILL);
    CHECK(waiting.ends());
    CHECK(waiting.output() == "mine\n");
  }
  CHECK(eventually([&] { return both.rows.granted(a.self, both.ino).empty(); }));
  Shell reader(holder(a, "-s"));
  REQUIRE(eventually([&] { return !reader.ended() && reader.output() == "locked\n"; }));
  CHECK(sh(cat("flock -n -s ", b.path(), "/f echo shared")) == "shared\n");
}

TEST_CASE("a lock survives the close of a copy of its descriptor, and one program after the other gets it") {
  Pair both;
  Mounted a(both.store, both.rows, both.redis), b(both.store, both.rows, both.redis);
  CHECK(sh(cat("exec 3< ", a.path(), "/f; flock 3; (exec 3<&-); sh -c 'exec 3<&-'; exec 4<&3 4<&-; flock -n ", b.path(),
               "/f true || echo busy")) == "busy\n");
  // Each one's RELEASE comes after its end.
  CHECK(sh(cat("i=0; while test $i -lt 100 && flock -n ", a.path(), "/f true; do i=$((i + 1)); done; echo $i")) ==
        "100\n");
}

TEST_CASE("a lock that is waited for is interrupted by a signal, also while the database hangs") {
  Pair both;
  Mounted a(both.store, both.rows, both.redis), b(both.store, both.rows, both.redis);
  Shell first(holder(a, "-x"));
  REQUIRE(eventually([&] { return !first.ended() && first.output() == "locked\n"; }));
  Shell waiting(cat("exec flock -x ", b.path(), "/f true"));
  REQUIRE(eventually([&] { return both.rows.waiting() == 1; }));
  waiting.signal(SIGINT);
  CHECK(waiting.ends());
  CHECK(WIFSIGNALED(waiting.status()));
  CHECK(eventually([&] { return both.rows.waiting() == 0; }));
  // A handler that does not restart the call: EINTR.
  Shell caught(cat("exec perl -e 'use POSIX; sigaction(SIGUSR1, POSIX::SigAction->new(sub {})); open F, q(", b.path(),
                   "/f); flock(F, 2) or print $!+0 == EINTR ? qq(interrupted\\n) : $!'"));
  REQUIRE(eventually([&] { return both.rows.waiting() == 1; }));
  both.rows.hold();
  both.rows.wait_for_held();
  caught.signal(SIGUSR1);
  CHECK(caught.ends());
  CHECK(caught.output() == "interrupted\n");
  both.rows.let_go();
}

TEST_CASE("more waiting locks than threads: everything else is answered") {
  Pair both;
  Mounted a(both.store, both.rows, both.redis), b(both.store, both.rows, both.redis);
  Shell first(holder(a, "-x"));
  REQUIRE(eventually([&] { return !first.ended() && first.output() == "locked\n"; }));
  constexpr int kMany = 300;
  std::list<Shell> waiting;
  for (int i = 0; i < kMany; ++i) waiting.emplace_back(cat("exec flock -s ", b.path(), "/f true"));
  REQUIRE(eventually([&] { return both.rows.waiting() == kMany; }));
  CHECK(sh(cat("cat ", b.path(), "/f; echo new > ", b.path(), "/g; cat ", b.path(), "/g; ls ", b.path())) ==
        "contents\nnew\nf\ng\n");
  first.signal(SIGKILL);
  for (Shell& shell : waiting) {
    CHECK(shell.ends());
    CHECK(shell.status() == 0);
  }
  CHECK(eventually([&] { return both.rows.granted(b.self, both.ino).empty(); }));
  MESSAGE(kMany, " waiting requests");
}

TEST_CASE("a lock that was taken away makes its file EIO until it is opened again") {
  Pair both;
  Mounted a(both.store, both.rows, both.redis), b(both.store, both.rows, both.redis);
  Shell first(cat("exec 3<> ", a.path(), "/f; cat <&3; flock 3; echo locked; while ! test -e ", a.path(),
                  "/go; do sleep 0.02; done; echo x >&3 || echo write failed; cat ", a.path(), "/f"));
  REQUIRE(eventually([&] { return !first.ended() && first.output() == "contents\nlocked\n"; }));
  both.rows.expire(a.self);
  CHECK(sh(cat("flock -n ", b.path(), "/f echo mine")) == "mine\n");
  CHECK(a.locks->confirm().ok());
  CHECK(sh(cat("touch ", a.path(), "/go")) == "");
  CHECK(first.ends());
  CHECK(first.output().find("write failed") != std::string::npos);
  CHECK(first.output().substr(first.output().size() - 9) == "contents\n");
}

TEST_CASE("with local_lock the kernel keeps the locks") {
  Pair both;
  FuseOptions local;
  local.local_lock = true;
  Mounted a(both.store, both.rows, both.redis, local);
  CHECK(sh(cat("exec 3< ", a.path(), "/f; flock 3; flock -n ", a.path(), "/f true || echo busy")) == "busy\n");
  CHECK(both.rows.calls("set") == 0);
}
