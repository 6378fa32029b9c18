#include "sboxfs/coherence/heartbeat.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "fake_lease_store.hpp"
#include "fake_peer.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases{store, clock};
  FakePeer writer{store, redis, clock};
  FakePeer peer{store, redis, clock};
  FakeLeaseStore rows{leases, peer.self};
  Heartbeat heartbeat{peer.state, rows, HeartbeatOptions{"host", "/mnt", kAlive}};

  static constexpr std::int64_t kAlive = 3600 * kSecondNs;  // only when asked

  Fixture() {
    REQUIRE(rows.open_session("host", "/mnt", kAlive).ok());
    writer.may_write();
    peer.on_orphaned = [this](const std::vector<Ino>&) { heartbeat.beat_now(); };
    heartbeat.start();
  }
  ~Fixture() { heartbeat.stop(); }

  /// A file the peer has open and the writer removes.
  Ino remove_open_file() {
    const Ino file = writer.create("file");
    writer.commit();
    CHECK(peer.adoption.check().ok());
    peer.load(file);
    {
      MutexLock lock(peer.state.mu);
      ++peer.state.tree.find(file)->opens;
    }
    {
      MutexLock lock(writer.state.mu);
      Inode& root = *writer.state.tree.find(kRootIno);
      Inode& inode = *writer.state.tree.find(file);
      const std::uint64_t cookie = writer.state.tree.cookie("file");
      DirItem& item = *Tree::item(root, cookie, "file");
      inode.attr.nlink = 0;
      inode.unlinked = true;
      writer.state.journal.touch(inode, kChangedAttr | kChangedGone);
      writer.state.tree.remove_name(root, item);
      writer.state.journal.touch_name(root, cookie, item);
    }
    writer.commit();
    return file;
  }
};

}  // namespace

TEST_CASE("heartbeat: an open inode that others removed is pinned with the version that removed it") {
  Fixture f;
  const Ino file = f.remove_open_file();
  CHECK(f.leases.session(f.peer.self)->pins.empty());
  REQUIRE(f.peer.adoption.check().ok());
  const FakeLeases::SessionRow expected{f.peer.seen().version, {file}};
  CHECK(eventually([&] { return f.leases.session(f.peer.self) == expected; }));
}

TEST_CASE("heartbeat: declared dead, it registers again with what it has seen and holds open") {
  Fixture f;
  const Ino file = f.remove_open_file();
  REQUIRE(f.peer.adoption.check().ok());
  f.leases.declare_dead(f.peer.self);
  f.heartbeat.beat_now();
  REQUIRE(eventually([&] { return f.leases.session(f.peer.self).has_value(); }));
  CHECK(eventually([&] { return f.leases.session(f.peer.self)->pins == std::vector<Ino>{file}; }));
}

TEST_CASE("heartbeat: among many inodes, growing in number, each open removed one is pinned once") {
  Fixture f;
  constexpr Ino kFirst = 1000;
  constexpr Ino kEvery = 997;
  std::vector<Ino> expected;
  for (Ino ino = kFirst; ino < kFirst + 30'000; ++ino) {
    MutexLock lock(f.peer.state.mu);
    Inode& inode = f.peer.state.tree.obtain(ino);
    if (ino % kEvery != 0) continue;
    inode.opens = 1;
    inode.unlinked = true;
    expected.push_back(ino);
  }
  std::jthread grower([&](const std::stop_token& stop) {
    for (Ino ino = 100'000; ino < 300'000 && !stop.stop_requested(); ++ino) {
      MutexLock lock(f.peer.state.mu);
      f.peer.state.tree.obtain(ino);
    }
  });
  for (int beat = 1; beat <= 5; ++beat) {
    const std::size_t before = f.leases.calls("keep");
    f.heartbeat.beat_now();
    REQUIRE(eventually([&] { return f.leases.calls("keep") > before; }));
    CHECK(eventually([&] {
      std::vector<Ino> pins = f.leases.session(f.peer.self)->pins;
      std::sort(pins.begin(), pins.end());
      return pins == expected;
    }));
  }
}

TEST_CASE("heartbeat: a beat that fails is repeated soon") {
  FakeStore store;
  FakeRedis redis;
  FakeClock clock;
  FakeLeases leases(store, clock);
  FakePeer peer(store, redis, clock);
  FakeLeaseStore rows(leases, peer.self);
  REQUIRE(rows.open_session("host", "/mnt", 1).ok());
  Heartbeat heartbeat(peer.state, rows, HeartbeatOptions{"host", "/mnt", 30 * kMillisecondNs});
  leases.fail(EIO);
  heartbeat.start();
  heartbeat.beat_now();
  CHECK(eventually([&] { return leases.calls("keep") >= 3; }));
  leases.recover();
  const std::size_t before = leases.calls("keep");
  CHECK(eventually([&] { return leases.calls("keep") > before; }));
  heartbeat.stop();
}
