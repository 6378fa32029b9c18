// O_TMPFILE and linkat: a file that gets its first name late, or never.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fake_session.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  explicit Fixture(std::uint64_t blocks = 0, std::uint64_t inodes = 0) : store(blocks, inodes) {
    Result<Vfs::Created> result = session.vfs.tmpfile(session.alice, kRootIno, 0640, O_RDWR);
    REQUIRE(result.ok());
    made = std::move(*result);
    bool differs = false;
    REQUIRE(session.vfs.write(*made.handle, 0, "bytes", {}, differs).ok());
  }
  void close() {
    session.vfs.release(std::move(made.handle));
    session.vfs.forget(made.found.ino, 1);
  }
  Result<Found> link(const std::string& name) { return session.vfs.link(made.found.ino, kRootIno, name); }

  FakeStore store;
  FakeSession session{store};
  Vfs::Created made;
};

}  // namespace

TEST_CASE("tmpfile: has no name and no links, leaves its directory alone, and goes with its handle") {
  Fixture f;
  const Attr attr = f.session.vfs.getattr(f.made.found.ino, nullptr)->attr;
  CHECK(attr.mode == (S_IFREG | 0640U));
  CHECK(attr.nlink == 0);
  CHECK(attr.uid == 1000);
  CHECK(f.session.list(kRootIno)->empty());
  f.session.sync();
  CHECK(f.store.rows().orphans.count(f.made.found.ino) == 1);
  CHECK(f.store.rows().pins.count(f.made.found.ino) == 1);
  f.close();
  f.session.sync();
  CHECK(f.store.rows().pins.empty());
  CHECK(f.session.vfs.statfs().ok());
  check_committed(f.session);
}

TEST_CASE("tmpfile: one that is closed at once never reaches the store") {
  FakeStore store;
  FakeSession session(store);
  session.write_file(kRootIno, "f", "");
  session.sync();
  store.hold_commits();
  session.write_file(kRootIno, "g", "");
  store.wait_for_held_commit();
  Result<Vfs::Created> made = session.vfs.tmpfile(session.alice, kRootIno, 0600, O_RDWR);
  const Ino ino = made->found.ino;
  session.vfs.release(std::move(made->handle));
  session.vfs.forget(ino, 1);
  store.let_commits_go();
  check_committed(session);
  CHECK(store.rows().inodes.count(ino) == 0);
  CHECK(store.rows().orphans.empty());
}

TEST_CASE("tmpfile: a link makes it a file like any other, before, while and after it is committed") {
  for (int when = 0; when < 3; ++when) {
    Fixture f;
    if (when == 1) {
      f.session.sync();
      f.store.hold_commits();
      bool differs = false;
      REQUIRE(f.session.vfs.write(*f.made.handle, 5, "!", {}, differs).ok());
      f.store.wait_for_held_commit();
    }
    if (when == 2) f.session.sync();
    REQUIRE(f.link("named").ok());
    CHECK(f.session.find("named")->attr.nlink == 1);
    if (when == 1) f.store.let_commits_go();
    f.session.vfs.forget(f.made.found.ino, 1);
    f.close();
    check_committed(f.session);
    CHECK(f.store.rows().orphans.empty());
    CHECK(f.store.rows().pins.empty());
    f.session.evict();
    CHECK(f.session.read_file(f.session.find("named")->ino).value() == (when == 1 ? "bytes!" : "bytes"));
    REQUIRE(f.session.vfs.link(f.made.found.ino, kRootIno, "again").ok());
    REQUIRE(f.session.vfs.unlink(kRootIno, "named").ok());
    REQUIRE(f.session.vfs.unlink(kRootIno, "again").ok());
    CHECK(f.link("never").code() != 0);
  }
}

TEST_CASE("tmpfile: what has lost its last name gets no new one, only what never had any") {
  Fixture f;
  REQUIRE(f.link("a").ok());
  REQUIRE(f.session.vfs.unlink(kRootIno, "a").ok());
  CHECK(f.link("b").code() == ENOENT);
}

TEST_CASE("tmpfile: the quota binds it, and a name moves what it takes") {
  Fixture f(2, 2);
  CHECK(f.session.vfs.statfs()->free_blocks == 1);
  CHECK(f.session.vfs.statfs()->free_inodes == 0);
  CHECK(f.session.vfs.tmpfile(f.session.root, kRootIno, 0600, O_RDWR).code() == EDQUOT);
  REQUIRE(f.link("a").ok());
  CHECK(f.session.vfs.statfs()->free_blocks == 1);
  CHECK(f.session.vfs.statfs()->free_inodes == 0);
  f.session.sync();
  CHECK(f.store.rows().usage.used_blocks == 1);
  CHECK(f.store.rows().usage.used_inodes == 2);
  check_committed(f.session);
}
