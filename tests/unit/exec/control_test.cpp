#include "sboxfs/exec/control.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "eventually.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;

namespace {

/// A mount that counts what it is asked, and can be told to be busy.
struct FakeMount {
  std::atomic<int> syncs{0}, refreshes{0}, stops{0}, detaches{0};
  std::atomic<bool> busy{false};
  std::atomic<std::uint64_t> losses{0};

  ControlHandlers handlers(bool goes_by_itself) {
    ControlHandlers handlers;
    handlers.sync = [this](std::string* warning) {
      if (++syncs > 1) return Status(fail(EIO, "changes were lost"));
      *warning = "Redis does not answer";
      return Status();
    };
    handlers.losses = [this] { return losses.load(); };
    handlers.refresh = [this] {
      ++refreshes;
      return Status();
    };
    handlers.status = [] { return std::string("{\"version\": 4}"); };
    handlers.stop = [this] { ++stops; };
    if (goes_by_itself) {
      handlers.detach_unused = [this] {
        ++detaches;
        return !busy;
      };
    }
    return handlers;
  }
};

}  // namespace

TEST_CASE("control: requests reach the mount; warnings and errors come back as they are") {
  const test::TempDir dir;
  FakeMount mount;
  const auto server = ControlServer::start(dir.path() + "/s", mount.handlers(false));
  REQUIRE(server.ok());
  auto client = ControlClient::connect(dir.path() + "/s");
  REQUIRE(client.ok());
  std::string warning;
  CHECK(client->request("sync", &warning).ok());
  CHECK(warning == "Redis does not answer");
  const Status lost = client->request("sync", &warning);
  CHECK(lost.code() == EIO);
  CHECK(lost.error().what == "changes were lost");
  CHECK(client->request("refresh").ok());
  CHECK(mount.refreshes == 1);
  CHECK(*client->status() == "{\"version\":4}");
  CHECK(client->request("stop").ok());
  CHECK(mount.stops == 1);
  CHECK(client->request("dance").code() == EINVAL);
}

TEST_CASE("control: sync fails for who held the mount while changes were lost, whoever was told of it") {
  const test::TempDir dir;
  FakeMount mount;
  mount.losses = 3;
  ControlHandlers handlers = mount.handlers(false);
  handlers.sync = [](std::string*) { return Status(); };
  const auto server = ControlServer::start(dir.path() + "/s", std::move(handlers));
  REQUIRE(server.ok());
  auto before = ControlClient::connect(dir.path() + "/s");
  auto after = ControlClient::connect(dir.path() + "/s");
  auto without = ControlClient::connect(dir.path() + "/s");
  REQUIRE((before.ok() && after.ok() && without.ok()));
  CHECK(before->request("hold").ok());
  CHECK(before->request("sync").ok());
  ++mount.losses;
  CHECK(before->request("hold").ok());  // it has held the mount all the time
  CHECK(after->request("hold").ok());
  CHECK(before->request("sync").code() == EIO);
  CHECK(after->request("sync").ok());
  CHECK(without->request("sync").ok());
}

TEST_CASE("control: who waits learns how the session ended; later requests are refused") {
  const test::TempDir dir;
  FakeMount mount;
  const auto server = ControlServer::start(dir.path() + "/s", mount.handlers(false));
  REQUIRE(server.ok());
  auto waiter = ControlClient::connect(dir.path() + "/s");
  auto other = ControlClient::connect(dir.path() + "/s");
  REQUIRE(waiter.ok());
  REQUIRE(other.ok());
  std::thread waiting([&] { CHECK(waiter->request("wait").code() == EAGAIN); });
  (*server)->session_ended(fail(EAGAIN, "Redis could not be told"));
  waiting.join();
  CHECK(other->request("sync").code() == ESHUTDOWN);
  CHECK(mount.syncs == 0);
}

TEST_CASE("control: a mount that goes by itself goes with its last holder, not before, and not while it is busy") {
  const test::TempDir dir;
  FakeMount mount;
  const auto server = ControlServer::start(dir.path() + "/s", mount.handlers(true));
  REQUIRE(server.ok());
  (*server)->go_if_unused();
  CHECK(mount.detaches == 0);  // a fresh mount waits for its first holder
  auto first = ControlClient::connect(dir.path() + "/s");
  auto second = ControlClient::connect(dir.path() + "/s");
  REQUIRE(first->request("hold").ok());
  REQUIRE(second->request("hold").ok());
  CHECK(*first->release(0) == false);
  CHECK(mount.detaches == 0);
  mount.busy = true;
  CHECK(*second->release(0) == false);
  CHECK(mount.detaches == 1);
  CHECK(first->request("hold").ok());  // it stayed, so it can be held again
  mount.busy = false;
  CHECK(*first->release(0) == true);
  CHECK(first->request("hold").code() == ESHUTDOWN);
}

TEST_CASE("control: a kept mount stays after its last holder until its time is over") {
  const test::TempDir dir;
  FakeMount mount;
  const auto server = ControlServer::start(dir.path() + "/s", mount.handlers(true));
  REQUIRE(server.ok());
  auto client = ControlClient::connect(dir.path() + "/s");
  REQUIRE(client->request("hold").ok());
  CHECK(*client->release(3600) == false);
  (*server)->go_if_unused();
  CHECK(mount.detaches == 0);
}

TEST_CASE("control: the exec lock is held as long as its connection, which tells when it is lost") {
  struct Held final : ExecLock {
    Held(std::atomic<int>& count, std::atomic<bool>& is_lost) : held(count), gone(is_lost) { ++held; }
    ~Held() override { --held; }
    bool lost() const override { return gone; }
    std::atomic<int>& held;
    std::atomic<bool>& gone;
  };
  const test::TempDir dir;
  FakeMount mount;
  std::atomic<int> held{0};
  std::atomic<bool> gone{false}, busy{false}, cancelled{false};
  ControlHandlers handlers = mount.handlers(false);
  handlers.lock = [&](bool exclusive, std::int64_t timeout_ns,
                      const std::function<bool()>& nobody_waits) -> Result<std::unique_ptr<ExecLock>> {
    CHECK(exclusive);
    CHECK(timeout_ns == 1'500'000'000);
    while (busy && !nobody_waits()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (busy) {
      cancelled = true;
      return fail(EINTR);
    }
    return std::unique_ptr<ExecLock>(std::make_unique<Held>(held, gone));
  };
  const auto server = ControlServer::start(dir.path() + "/s", std::move(handlers));
  REQUIRE(server.ok());
  {
    auto client = ControlClient::connect(dir.path() + "/s");
    REQUIRE(client->lock(true, 1.5).ok());
    CHECK(held == 1);
    pollfd wait{client->fd(), POLLIN, 0};
    CHECK(::poll(&wait, 1, 0) == 0);
    gone = true;
    CHECK(::poll(&wait, 1, 10'000) == 1);
    CHECK(held == 1);
  }
  CHECK(test::eventually([&] { return held == 0; }));
  // Who does not wait any more is not waited with.
  busy = true;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = dir.path() + "/s";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const std::string line = R"({"do":"lock","exclusive":true,"timeout_seconds":1.5})"
                           "\n";
  REQUIRE(::send(fd, line.data(), line.size(), 0) == static_cast<ssize_t>(line.size()));
  ::close(fd);
  CHECK(test::eventually([&] { return cancelled.load(); }));
}
