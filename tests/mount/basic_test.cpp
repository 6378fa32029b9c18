#include <doctest/doctest.h>

#include "fake_session.hpp"
#include "mounted.hpp"
#include "sboxfs/base/text.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {
std::string in(const Mounted& mounted, const std::string& script) {
  return sh(cat("cd ", mounted.path(), " && ", script));
}
}  // namespace

TEST_CASE("what a shell does with files arrives, and is the same for a second session") {
  FakeStore store;
  Mounted mounted(store);
  CHECK(in(mounted, "mkdir -p a/b && printf hello > a/b/f && printf ' you' >> a/b/f && cat a/b/f") == "hello you");
  CHECK(in(mounted, "ln -s b/f a/s && cat a/s && readlink a/s") == "hello youb/f\n");
  CHECK(in(mounted, "ln a/b/f a/h && stat -c %h a/h && mv a/h g && cat g && test ! -e a/h") == "2\nhello you");
  CHECK(in(mounted, "chmod 4751 g && stat -c %a g && touch -d @1234.5 g && stat -c %.9Y g") ==
        "4751\n1234.500000000\n");
  CHECK(in(mounted, "truncate -s 3 g && cat a/b/f && truncate -s 5 g && od -An -c g") == "hel   h   e   l  \\0  \\0\n");
  CHECK(in(mounted,
           "printf xy > t && : > t && stat -c %s t && mkfifo p && test -p p && mknod z c 1 5 && stat -c %t:%T z") ==
        "0\n1:5\n");
  CHECK(in(mounted, "rmdir a 2>&1 | grep -c 'not empty'; rm t && test ! -e t; mkdir e && rmdir e") == "1\n");
  CHECK(in(mounted, "cp g c && cmp g c && fallocate -l 100000 c && stat -c %s c && sync c") == "100000\n");
  CHECK(in(mounted, "ls -A | tr '\\n' ' '") == "a c g p z ");
  mounted.give_up_lease();
  for (const std::string& problem : store.problems()) FAIL_CHECK(problem);
  FakeSession second(store);
  CHECK(second.read_file(second.find("a/b/f")->ino).value() == std::string("hel\0\0", 5));
  CHECK(second.find("a/s").ok());
  CHECK(second.find("t").code() == ENOENT);
}

TEST_CASE("extended attributes and ACLs go through the mount") {
  FakeStore store;
  Mounted mounted(store);
  const std::string python = R"(python3 -c '
import os
open("f", "w").close()
os.setxattr("f", "user.a", b"1\x00\xff"); os.setxattr("f", "user.b", b"")
print(os.getxattr("f", "user.a"), sorted(os.listxattr("f")))
os.removexattr("f", "user.b")
try: os.getxattr("f", "user.b")
except OSError as e: print(e.errno)
try: os.setxattr("f", "user.a", b"", os.XATTR_CREATE)
except OSError as e: print(e.errno)
')";
  CHECK(in(mounted, python) == "b'1\\x00\\xff' ['user.a', 'user.b']\n61\n17\n");
}

TEST_CASE("an unlinked file goes on while it is open, and a write goes where the file ends") {
  FakeStore store;
  Mounted mounted(store);
  CHECK(
      in(mounted, "exec 3<> f && rm f && printf data >&3 && cat /proc/self/fd/3 && stat -L -c %h:%s /proc/self/fd/3") ==
      "data0:4\n");
  CHECK(in(mounted, "exec 3>> f && printf one >&3 && printf two >> f && printf 3 >&3 && cat f") == "onetwo3");
  CHECK(in(mounted, "seq 1 200000 > n && tail -n 1 n && md5sum < n && seq 1 200000 | md5sum").substr(0, 7) ==
        "200000\n");
  CHECK(in(mounted, "seq 1 200000 | cmp - n") == "");
}

TEST_CASE("a write asks for no attributes; set-user-ID bits go all the same, by the caller's rights") {
  FakeStore store;
  Mounted mounted(store);
  in(mounted, "touch f g && chmod 6755 g");
  const std::uint64_t before = mounted.requests("getxattr");
  const std::string python = R"(python3 -c '
f = open("f", "wb", 0)
for i in range(100): f.write(b"x")
')";
  CHECK(in(mounted, python) == "");
  CHECK(mounted.requests("write") >= 100);
  CHECK(mounted.requests("getxattr") <= before + 2);
  CHECK(in(mounted, "echo x > g && stat -c %a g") == "6755\n");
  CHECK(in(mounted, "setpriv --inh-caps=-fsetid --bounding-set=-fsetid sh -c 'echo y >> g'; stat -c %a g") == "755\n");
}

TEST_CASE("a file without a name gets one") {
  FakeStore store;
  Mounted mounted(store);
  const std::string python = R"(python3 -c '
import os
fd = os.open(".", os.O_TMPFILE | os.O_RDWR)
os.write(fd, b"late")
print(os.fstat(fd).st_nlink, os.listdir())
os.link(f"/proc/self/fd/{fd}", "named", src_dir_fd=fd)
' && cat named)";
  CHECK(in(mounted, python) == "0 []\nlate");
  mounted.give_up_lease();
  for (const std::string& problem : store.problems()) FAIL_CHECK(problem);
}

TEST_CASE("what is warm asks nothing") {
  FakeStore store;
  Mounted mounted(store);
  in(mounted, "mkdir d && for i in 1 2 3 4 5 6 7 8 9; do echo $i > d/$i; done");
  const std::string look = "cat d/* && stat -c %s:%Y d/* && ls d/none d/none2; ls d";
  const std::string first = in(mounted, look);
  in(mounted, look);  // what the first reads did to the access times is known now
  const std::uint64_t before = mounted.requests();
  const std::uint64_t asked = mounted.requests("lookup") + mounted.requests("getattr") + mounted.requests("read") +
                              mounted.requests("readdirplus") + mounted.requests("readdir");
  CHECK(in(mounted, look) == first);
  // Of each file OPEN, FLUSH and RELEASE always come (the last a little later); nothing else does.
  CHECK(mounted.requests() - before <= 9 * 3 + 9);
  CHECK(mounted.requests("lookup") + mounted.requests("getattr") + mounted.requests("read") +
            mounted.requests("readdirplus") + mounted.requests("readdir") ==
        asked);
  mounted.set_cacheable(false);
  const std::uint64_t lookups = mounted.requests("lookup");
  in(mounted, "stat d/1 && stat d/1");
  CHECK(mounted.requests("lookup") >= lookups + 2);
}

TEST_CASE("what can not be mounted says why") {
  FakeStore store;
  State state(store.facts().value());
  TempDir directory;
  FuseOptions options;
  options.name = "x";
  options.mount_point = directory.path() + "/none";
  CHECK(FuseServer::mount(options, state).code() == ENOENT);
  sh("touch " + directory.path() + "/file");
  options.mount_point = directory.path() + "/file";
  const auto file = FuseServer::mount(options, state);
  REQUIRE(file.code() == ENOTDIR);
  CHECK(file.error().what == options.mount_point + " is not a directory");
  Mounted mounted(store);
  options.mount_point = mounted.path();
  const auto busy = FuseServer::mount(options, state);
  REQUIRE(busy.code() == EBUSY);
  CHECK(busy.error().what.find(mounted.path()) != std::string::npos);
}
