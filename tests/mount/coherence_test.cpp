// What another session changes is seen at once although the kernel may keep everything for an hour.
#include <doctest/doctest.h>
#include <fcntl.h>

#include "eventually.hpp"
#include "fake_session.hpp"
#include "mounted.hpp"
#include "sboxfs/base/text.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

TEST_CASE("a change of another session is visible as soon as the kernel was told") {
  FakeStore store;
  FakeSession other(store);
  const Ino dir = other.make_dir(kRootIno, "d");
  const Ino file = other.write_file(dir, "f", "old");
  other.write_file(dir, "gone", "x");
  other.sync();
  Mounted mounted(store);
  const std::string look =
      cat("cd ", mounted.path(),
          "/d; cat f; stat -c :%s:%a f; cat new 2>&1; ls | tr '\\n' ' '; test -e gone && echo there");
  CHECK(sh(look) == "old:3:644\ncat: new: No such file or directory\nf gone there\n");
  const std::uint64_t before = mounted.requests("lookup") + mounted.requests("readdirplus") + mounted.requests("read");
  CHECK(sh(look) == "old:3:644\ncat: new: No such file or directory\nf gone there\n");
  CHECK(mounted.requests("lookup") + mounted.requests("readdirplus") + mounted.requests("read") == before);
  {
    const auto handle = other.open(file, O_WRONLY);
    bool differs = false;
    REQUIRE(other.vfs.write(*handle, 0, "newer", {}, differs).ok());
  }
  AttrChange mode;
  mode.mode = 0600;
  REQUIRE(other.vfs.setattr(other.root, file, mode, nullptr).ok());
  other.write_file(dir, "new", "fresh");
  REQUIRE(other.vfs.unlink(dir, "gone").ok());
  other.sync();
  mounted.adopt();
  CHECK(sh(look + " || echo not") == "newer:5:600\nfreshf new not\n");
}

TEST_CASE("a name that is replaced is never missing, and a changed directory keeps its working directories") {
  FakeStore store;
  FakeSession other(store);
  const Ino dir = other.make_dir(kRootIno, "d");
  other.write_file(dir, "f", "one");
  other.sync();
  Mounted mounted(store);
  Shell inside(cat("cd ", mounted.path(), "/d && cat f && while ! test -e ../go; do sleep 0.02; done && pwd && cat f"));
  REQUIRE(eventually([&] { return !inside.ended() && inside.output() == "one"; }));
  other.write_file(dir, "f.new", "two");
  REQUIRE(other.vfs.rename(dir, "f.new", dir, "f", 0).ok());
  other.write_file(kRootIno, "go", "");
  other.sync();
  mounted.adopt();
  CHECK(inside.ends());
  CHECK(inside.output() == cat("one", mounted.path(), "/d\ntwo"));
}

TEST_CASE("two hosts append to one file: nothing is lost and nobody sees the kernel's own idea of the end") {
  FakeStore store;
  FakeSession other(store);
  const Ino file = other.write_file(kRootIno, "log", std::string(100, 'a'));
  other.sync();
  Mounted mounted(store);
  REQUIRE(sh(cat("wc -c < ", mounted.path(), "/log")) == "100\n");
  {
    const auto handle = other.open(file, O_WRONLY | O_APPEND);
    bool differs = false;
    REQUIRE(other.vfs.write(*handle, 0, std::string(100, 'b'), {}, differs, Vfs::WriteAs::append).ok());
  }
  other.give_up_lease();
  // The kernel still takes the file for 100 bytes long: it was not told.
  // In one piece, so that the kernel believes whole pages.
  CHECK(sh(cat("seq 10000 14000 | dd status=none bs=1M iflag=fullblock oflag=append conv=notrunc of=", mounted.path(),
               "/log")) == "");
  CHECK(mounted.notifier->wait(mounted.notifier->newest(), 10 * kSecondNs));
  CHECK(sh(cat("head -c 200 ", mounted.path(), "/log | fold -w 100 | cut -c1-3; tail -c +201 ", mounted.path(),
               "/log > ", mounted.path(), "/tail; seq 10000 14000 | cmp - ", mounted.path(), "/tail")) == "aaa\nbbb\n");
}

TEST_CASE("a listing of a hundred thousand names is whole") {
  FakeStore store;
  {
    FakeSession writer(store);
    const Ino dir = writer.make_dir(kRootIno, "big");
    for (int i = 0; i < 100'000; ++i) {
      const Result<Found> made = writer.vfs.mknod(writer.root, dir, cat("name-", i), 0100644, 0);
      REQUIRE(made.ok());
      writer.vfs.forget(made->ino, 1);
    }
    writer.sync();
  }
  Mounted mounted(store);
  const std::string count = cat("ls -f ", mounted.path(), "/big | sort -u | grep -c '^name-'");
  CHECK(sh(count) == "100000\n");
  CHECK(sh(count) == "100000\n");
  CHECK(sh(cat("ls -f ", mounted.path(), "/big | wc -l")) == "100002\n");
  // The kernel has it cached; names that go are gone from it.
  CHECK(sh(cat("cd ", mounted.path(), "/big && rm -f name-*77 && ls -f | grep -c '^name-'")) == "99000\n");
}
