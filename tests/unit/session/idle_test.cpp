#include "idle.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "eventually.hpp"
#include "fake_clock.hpp"
#include "sboxfs/base/blocking.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr std::int64_t kTimeout = 60 * kSecondNs;

/// A session that writes down what was done to it.
struct Fixture {
  explicit Fixture(bool unmounts = false) {
    IdleActions actions;
    actions.unused = [this] { return unused.load(); };
    actions.take_back = [this] { done("take_back"); };
    actions.settle = [this](const std::function<bool()>& go_on) {
      done("settle");
      if (during_settle) during_settle();
      return go_on() ? settled : fail(EAGAIN);
    };
    actions.evict = [this] { done("evict"); };
    actions.revive = [this]() -> Status {
      done("revive");
      MutexLock lock(mutex);
      while (hold_revival) changed.wait(lock);
      return revived;
    };
    if (unmounts)
      actions.unmount = [this] {
        done("unmount");
        return !busy.load();
      };
    idle.emplace(clock, kTimeout, std::move(actions));
  }

  void done(const std::string& what) {
    MutexLock lock(mutex);
    log.push_back(what);
  }
  std::vector<std::string> take() {
    MutexLock lock(mutex);
    return std::exchange(log, {});
  }
  std::size_t revivals() {
    MutexLock lock(mutex);
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), "revive"));
  }
  void pass(std::int64_t ns) {
    clock.advance(ns);
    idle->look();
  }
  void request() {
    REQUIRE(idle->enter().ok());
    idle->leave();
  }
  void evict() {
    idle->look();
    pass(kTimeout / 2);
    pass(kTimeout / 2);
    REQUIRE(idle->away());
    take();
  }
  void let_revivals_go() {
    MutexLock lock(mutex);
    hold_revival = false;
    changed.notify_all();
  }

  FakeClock clock;
  std::atomic<bool> unused{true};
  std::atomic<bool> busy{false};
  Status settled;
  std::function<void()> during_settle;
  Mutex mutex;
  CondVar changed;
  bool hold_revival = false;
  Status revived;
  std::vector<std::string> log;
  std::optional<Idle> idle;
};

using Log = std::vector<std::string>;

/// A thread whose request may be interrupted.
class Interruptible final : public BlockingObserver {
 public:
  Interruptible() : before_(set_blocking_observer(this)) {}
  ~Interruptible() override { set_blocking_observer(before_); }
  void before_wait() override { waits_ = true; }
  void after_wait() override {}
  bool interrupted() const override { return interrupted_; }
  std::atomic<bool> waits_{false};
  std::atomic<bool> interrupted_{false};

 private:
  BlockingObserver* before_;
};

}  // namespace

TEST_CASE(
    "idle: the kernel forgets after half the time, the session goes after the whole, the next request revives it") {
  Fixture f;
  f.request();
  f.idle->look();
  f.pass(kTimeout / 2 - 1);
  CHECK(f.take().empty());
  f.pass(1);
  CHECK(f.take() == Log{"take_back"});
  f.pass(kTimeout / 2 - 1);
  CHECK(f.take().empty());
  f.pass(1);
  CHECK(f.take() == Log{"settle", "evict"});
  CHECK(f.idle->away());
  f.pass(10 * kTimeout);
  CHECK(f.take().empty());
  f.request();
  CHECK(f.take() == Log{"revive"});
  CHECK_FALSE(f.idle->away());
  f.request();
  f.pass(0);
  f.pass(kTimeout / 2);
  CHECK(f.take() == Log{"take_back"});
}

TEST_CASE("idle: a request after the kernel has forgotten shows that the mount is used") {
  Fixture f;
  f.idle->look();
  for (int i = 0; i < 3; ++i) {
    f.pass(kTimeout / 2);
    CHECK(f.take() == Log{"take_back"});
    f.request();
    f.pass(kTimeout / 2);
    CHECK(f.take().empty());
  }
}

TEST_CASE("idle: what is open, uncommitted or under way keeps it in use") {
  Fixture f;
  f.unused = false;
  for (int i = 0; i < 5; ++i) f.pass(kTimeout);
  CHECK(f.take().empty());
  f.unused = true;
  REQUIRE(f.idle->enter().ok());
  for (int i = 0; i < 5; ++i) f.pass(kTimeout);
  CHECK(f.take().empty());
  f.idle->leave();
  f.pass(kTimeout / 2);
  CHECK(f.take() == Log{"take_back"});
  f.unused = false;  // opened without a request that is still to come: a file that was open all the time
  f.pass(kTimeout);
  CHECK(f.take().empty());
}

TEST_CASE("idle: a request while the session settles, or a database that does not answer, makes it stay") {
  Fixture f;
  f.during_settle = [&f] { f.request(); };
  f.idle->look();
  f.pass(kTimeout / 2);
  f.pass(kTimeout / 2);
  CHECK(f.take() == Log{"take_back", "settle"});
  CHECK_FALSE(f.idle->away());
  f.during_settle = nullptr;
  f.settled = fail(EIO);
  f.pass(kTimeout / 2);
  f.pass(kTimeout / 2);
  CHECK(f.take() == Log{"take_back", "settle"});
  CHECK_FALSE(f.idle->away());
  f.request();  // answered, not revived
  CHECK(f.take().empty());
}

TEST_CASE("idle: many requests at once revive the session once") {
  Fixture f;
  f.evict();
  f.hold_revival = true;
  std::atomic<int> passed{0};
  {
    std::vector<std::jthread> requests;
    for (int i = 0; i < 8; ++i)
      requests.emplace_back([&] {
        if (f.idle->enter().ok()) ++passed;
        f.idle->leave();
      });
    REQUIRE(eventually([&] { return f.revivals() == 1; }));
    CHECK(passed == 0);
    f.let_revivals_go();
  }
  CHECK(passed == 8);
  CHECK(f.take() == Log{"revive"});
}

TEST_CASE("idle: a revival that fails answers those who waited for it; a later request tries again") {
  Fixture f;
  f.evict();
  f.revived = fail(EIO, "Postgres does not answer");
  f.hold_revival = true;
  std::atomic<int> refused{0};
  {
    std::vector<std::jthread> requests;
    for (int i = 0; i < 4; ++i)
      requests.emplace_back([&] {
        Interruptible observer;
        if (f.idle->enter().code() == EIO) ++refused;
      });
    REQUIRE(eventually([&] { return f.revivals() == 1; }));
    f.let_revivals_go();
  }
  CHECK(refused == 4);
  CHECK(f.idle->away());
  f.take();
  f.revived = {};
  f.request();
  CHECK(f.take() == Log{"revive"});
}

TEST_CASE("idle: an interrupted request ends its own wait only") {
  Fixture f;
  f.evict();
  f.hold_revival = true;
  std::jthread first([&] {
    CHECK(f.idle->enter().ok());
    f.idle->leave();
  });
  REQUIRE(eventually([&] { return f.revivals() == 1; }));
  std::jthread second([&] {
    Interruptible observer;
    observer.interrupted_ = true;
    CHECK(f.idle->enter().code() == EINTR);
  });
  second.join();
  f.let_revivals_go();
  first.join();
  CHECK(f.take() == Log{"revive"});
}

TEST_CASE("idle: with unmount it never goes away by itself, and a busy mount is tried again") {
  Fixture f(true);
  f.busy = true;
  f.idle->look();
  f.pass(kTimeout / 2);
  f.pass(kTimeout / 2);
  CHECK(f.take() == Log{"take_back", "unmount"});
  f.request();
  CHECK(f.take().empty());
  f.busy = false;
  f.pass(0);
  f.pass(kTimeout / 2);
  f.pass(kTimeout / 2);
  CHECK(f.take() == Log{"take_back", "unmount"});
  CHECK_FALSE(f.idle->away());
}

TEST_CASE("idle: the thread does all that by itself") {
  const SystemClock clock;
  std::atomic<bool> evicted{false};
  std::atomic<int> revived{0};
  IdleActions actions;
  actions.unused = [] { return true; };
  actions.take_back = [] {};
  actions.settle = [](const std::function<bool()>&) { return Status(); };
  actions.evict = [&] { evicted = true; };
  actions.revive = [&] {
    ++revived;
    return Status();
  };
  Idle idle(clock, 20 * kMillisecondNs, std::move(actions));
  idle.start();
  REQUIRE(eventually([&] { return evicted && idle.away(); }));
  CHECK(idle.enter().ok());
  idle.leave();
  CHECK(revived == 1);
  idle.stop();
}
