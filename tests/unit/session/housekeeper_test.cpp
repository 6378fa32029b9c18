#include "housekeeper.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "eventually.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// A tenant in memory: its outbox, its keys in a Redis that can be away, and heaps of garbage.
class FakeHousework final : public Housework {
 public:
  struct Sandbox {
    Version version = 1;
    Version published = 0;
    bool destroyed = false;
    bool lease_free = true;
    bool erased = false;
    std::int64_t age_ns = 0;
    std::uint64_t rows = 0;
  };

  Result<std::vector<OutboxItem>> outbox() override {
    MutexLock lock(mutex);
    ++rounds;
    if (database_away) return fail(EIO);
    std::vector<OutboxItem> out;
    for (const auto& [id, box] : boxes) {
      if (box.destroyed ? box.erased : box.published >= box.version) continue;
      out.push_back({id, Stamp{box.version, {}}, box.published, 1, box.destroyed, box.lease_free});
    }
    return out;
  }
  Result<Version> publish(const OutboxItem& item) override {
    MutexLock lock(mutex);
    if (redis_away) return fail(EAGAIN);
    ++publishes;
    return keys[item.id] = std::max(keys[item.id], item.stamp.version);
  }
  Status mark_published(const OutboxItem& item) override {
    MutexLock lock(mutex);
    boxes[item.id].published = item.stamp.version;
    return {};
  }
  Status erase_key(const SandboxId& id) override {
    MutexLock lock(mutex);
    if (redis_away) return fail(EAGAIN);
    keys.erase(id);
    return {};
  }
  Status mark_erased(const SandboxId& id) override {
    MutexLock lock(mutex);
    boxes[id].erased = true;
    return {};
  }
  Result<std::vector<DestroyedSandbox>> destroyed(unsigned) override {
    MutexLock lock(mutex);
    std::vector<DestroyedSandbox> out;
    for (const auto& [id, box] : boxes)
      if (box.destroyed) out.push_back({id, box.age_ns, box.erased});
    return out;
  }
  Result<std::uint64_t> purge(const SandboxId& id, unsigned limit) override {
    MutexLock lock(mutex);
    return take(boxes[id].rows, limit);
  }
  Result<bool> forget(const SandboxId& id, std::int64_t age_ns) override {
    MutexLock lock(mutex);
    const Sandbox& box = boxes[id];
    if (box.age_ns < age_ns || !box.erased || box.rows > 0) return false;
    boxes.erase(id);
    return true;
  }
  Result<std::uint64_t> delete_dead_sessions(unsigned limit) override { return step(0, limit); }
  Result<std::uint64_t> delete_orphans(unsigned limit) override { return step(1, limit); }
  Result<std::uint64_t> delete_old_changes(unsigned limit) override { return step(2, limit); }
  Result<std::uint64_t> delete_dead_blobs(unsigned limit) override { return step(3, limit); }
  Result<MarkedBlobs> mark_dead_blobs(const Hash& from, unsigned) override {
    MutexLock lock(mutex);
    marked_from.push_back(from);
    MarkedBlobs out;
    if (marked_from.size() % 3 != 0) {
      Hash next = from;
      ++next.bytes[0];
      out.next = next;
    }
    return out;
  }

  Result<std::uint64_t> step(std::size_t heap, unsigned limit) {
    MutexLock lock(mutex);
    return take(heaps[heap], limit);
  }
  std::uint64_t take(std::uint64_t& heap, unsigned limit) {
    largest_step = std::max(largest_step, limit);
    const std::uint64_t taken = std::min<std::uint64_t>(heap, limit);
    heap -= taken;
    return taken;
  }
  SandboxId add(Sandbox box) {
    MutexLock lock(mutex);
    const SandboxId id = Uuid::random();
    boxes[id] = box;
    return id;
  }

  Mutex mutex;
  std::map<SandboxId, Sandbox> boxes;
  std::map<SandboxId, Version> keys;
  bool redis_away = false;
  bool database_away = false;
  unsigned publishes = 0;
  int rounds = 0;
  unsigned largest_step = 0;
  std::uint64_t heaps[4] = {};
  std::vector<Hash> marked_from;
};

struct Fixture {
  FakeHousework work;
  Housekeeper keeper{work, 3600 * kSecondNs, 1};
  void round() { keeper.round(std::stop_token()); }
};

}  // namespace

TEST_CASE("housekeeper: what others left in the outbox is published once") {
  Fixture f;
  const SandboxId one = f.work.add({7, 3});
  const SandboxId two = f.work.add({9, 0});
  f.work.add({5, 5});
  f.round();
  CHECK(f.work.keys == std::map<SandboxId, Version>{{one, 7}, {two, 9}});
  CHECK(f.work.publishes == 2);
  f.round();
  CHECK(f.work.publishes == 2);  // nothing is left to publish
}

TEST_CASE("housekeeper: a sandbox that is being written is left to its writer") {
  Fixture f;
  const SandboxId id = f.work.add({7, 3, false, false});
  f.round();
  CHECK(f.work.publishes == 0);
  f.work.boxes[id].lease_free = true;  // it died
  f.round();
  CHECK(f.work.keys[id] == 7);
}

TEST_CASE("housekeeper: with Redis away everything stays in the outbox, and is published when it is back") {
  Fixture f;
  const SandboxId id = f.work.add({7, 3});
  f.work.redis_away = true;
  f.round();
  f.round();
  CHECK(f.work.boxes[id].published == 3);
  f.work.redis_away = false;
  f.round();
  CHECK(f.work.keys[id] == 7);
  CHECK(f.work.boxes[id].published == 7);
}

TEST_CASE("housekeeper: a destroyed sandbox is never published; its key goes when Redis is there") {
  Fixture f;
  const SandboxId id = f.work.add({7, 3, true});
  f.work.keys[id] = 3;
  f.work.redis_away = true;
  f.round();
  CHECK_FALSE(f.work.boxes[id].erased);
  f.work.redis_away = false;
  f.round();
  CHECK(f.work.keys.empty());
  CHECK(f.work.boxes[id].erased);
  CHECK(f.work.publishes == 0);
}

TEST_CASE(
    "housekeeper: rows of a destroyed sandbox go at once, its last one after a minute, with the key erased again") {
  Fixture f;
  const SandboxId id = f.work.add({7, 7, true, true, true, 59 * kSecondNs, 100'000});
  f.round();
  CHECK(f.work.boxes[id].rows == 0);
  REQUIRE(f.work.boxes.count(id) == 1);
  f.work.keys[id] = 7;  // a publish that hung in a stopped Redis
  f.work.boxes[id].age_ns = 60 * kSecondNs;
  f.work.redis_away = true;
  f.round();
  CHECK(f.work.boxes.count(id) == 1);  // not before Redis has answered
  f.work.redis_away = false;
  f.round();
  CHECK(f.work.keys.empty());
  CHECK(f.work.boxes.count(id) == 0);
}

TEST_CASE("housekeeper: every heap of garbage goes, in small steps") {
  Fixture f;
  for (std::uint64_t& heap : f.work.heaps) heap = 12'345;
  f.round();
  for (std::uint64_t heap : f.work.heaps) CHECK(heap == 0);
  CHECK(f.work.largest_step <= 2000);
}

TEST_CASE("housekeeper: blobs are looked at a page a round, and from the start again after the last one") {
  Fixture f;
  for (int i = 0; i < 4; ++i) f.round();
  REQUIRE(f.work.marked_from.size() == 4);
  CHECK(f.work.marked_from[0] == Hash{});
  CHECK(f.work.marked_from[1] != f.work.marked_from[0]);
  CHECK(f.work.marked_from[2] != f.work.marked_from[1]);
  CHECK(f.work.marked_from[3] == Hash{});
}

TEST_CASE("housekeeper: the thread does a round every interval, whatever fails, and stops in the middle of one") {
  FakeHousework work;
  work.database_away = true;
  Housekeeper keeper(work, kMillisecondNs, 3600 * kSecondNs);
  keeper.start();
  const auto rounds = [&] {
    MutexLock lock(work.mutex);
    return work.rounds;
  };
  CHECK(eventually([&] { return rounds() >= 3; }));
  {
    MutexLock lock(work.mutex);
    work.heaps[1] = 1'000'000;  // the pause after its first step would last for ever
  }
  CHECK(eventually([&] {
    MutexLock lock(work.mutex);
    return work.heaps[1] < 1'000'000;
  }));
  keeper.stop();
  CHECK(work.heaps[1] > 0);
  // And starts again, for a session that comes back.
  const int before = rounds();
  keeper.start();
  CHECK(eventually([&] { return rounds() > before; }));
  keeper.stop();
}
