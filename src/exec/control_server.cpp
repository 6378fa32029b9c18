#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "line_socket.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/log.hpp"
#include "sboxfs/base/mutex.hpp"
#include "sboxfs/exec/control.hpp"

namespace sboxfs {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kFirstHolderNs = 10 * kSecondNs;

/// Whether the other side has closed its end, or said something.
bool stirs(int fd, int timeout_ms) {
  pollfd wait{fd, POLLIN | POLLRDHUP, 0};
  return ::poll(&wait, 1, timeout_ms) > 0;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string answer_for(const Status& status, const std::string& warning = {}) {
  if (!status.ok()) {
    return dump({{"ok", false}, {"errno", status.error().code}, {"message", status.error().what}});
  }
  Json answer{{"ok", true}};
  if (!warning.empty()) answer["warning"] = warning;
  return dump(answer);
}

class Server final : public ControlServer {
 public:
  Server(UniqueFd listener, ControlHandlers handlers) : handlers_(std::move(handlers)), listener_(std::move(listener)) {
    accepter_ = std::thread([this] { accept_all(); });
  }

  ~Server() override {
    session_ended(fail(ESHUTDOWN, "the mount's process ends"));
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepter_.join();
    std::vector<std::unique_ptr<Peer>> peers;
    {
      const MutexLock lock(mu_);
      peers.swap(peers_);
    }
    for (const auto& peer : peers) {
      // Reading only: an answer on its way still arrives.
      ::shutdown(peer->fd.get(), SHUT_RD);
      peer->thread.join();
    }
  }

  void go_if_unused() override { leave(0, 0); }

  bool held() const override {
    const MutexLock lock(mu_);
    return holders_ > 0;
  }

  bool unmount_unless_held(const std::function<bool()>& unmount) override {
    {
      const MutexLock lock(mu_);
      if (!may_go()) return false;
      going_ = true;
    }
    return go(unmount);
  }

  void session_ended(const Status& how) override {
    const MutexLock lock(mu_);
    if (ended_) return;
    ended_ = true;
    how_ = how;
    changed_.notify_all();
  }

 private:
  struct Peer {
    UniqueFd fd;
    std::thread thread;
    std::atomic<bool> done{false};
  };

  /// What a connection holds.
  struct Hold {
    bool on = false;
    std::uint64_t losses = 0;  ///< ControlHandlers::losses when it began
  };

  void accept_all() {
    for (;;) {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd && (errno == EINTR || errno == ECONNABORTED)) continue;
      if (!fd) return;  // shut down
      auto peer = std::make_unique<Peer>();
      peer->fd = std::move(fd);
      Peer& started = *peer;
      std::vector<std::unique_ptr<Peer>> finished;
      {
        const MutexLock lock(mu_);
        const auto first_done =
            std::partition(peers_.begin(), peers_.end(), [](const auto& one) { return !one->done; });
        std::move(first_done, peers_.end(), std::back_inserter(finished));
        peers_.erase(first_done, peers_.end());
        started.thread = std::thread([this, &started] { serve(started); });
        peers_.push_back(std::move(peer));
      }
      for (const auto& one : finished) one->thread.join();
    }
  }

  void serve(Peer& peer) {
    std::string buffer;
    Hold hold;
    for (;;) {
      const auto line = receive_line(peer.fd.get(), buffer);
      if (!line.ok()) break;
      const Json request = Json::parse(*line, nullptr, false);
      if (request.is_object() && request.value("do", std::string()) == "lock") {
        hold_lock(peer.fd.get(), request);
        break;
      }
      if (!send_line(peer.fd.get(), answer(request, hold)).ok()) break;
    }
    if (hold.on) leave(1, 0);
    ::shutdown(peer.fd.get(), SHUT_RDWR);
    peer.done = true;
  }

  /// The connection's last request.
  void hold_lock(int fd, const Json& request) {
    if (!handlers_.lock) {
      send_line(fd, answer_for(fail(EOPNOTSUPP, "this mount has no exec lock"))).ok();
      return;
    }
    const double seconds = request.value("timeout_seconds", 0.0);
    const auto lock = handlers_.lock(request.value("exclusive", false),
                                     static_cast<std::int64_t>(seconds * static_cast<double>(kSecondNs)),
                                     [fd] { return stirs(fd, 0); });
    if (!send_line(fd, answer_for(lock.ok() ? Status() : Status(lock.error()))).ok() || !lock.ok()) return;
    bool told = false;
    while (!stirs(fd, 100)) {
      if (told || !(*lock)->lost()) continue;
      told = true;
      if (!send_line(fd, answer_for(fail(EIO, "the exec lock was lost"))).ok()) return;
    }
  }

  std::string answer(const Json& request, Hold& hold) {
    const std::string word = request.is_object() ? request.value("do", std::string()) : std::string();
    if (word == "wait") {
      MutexLock lock(mu_);
      while (!ended_) changed_.wait(lock);
      return answer_for(how_);
    }
    {
      const MutexLock lock(mu_);
      if (ended_) return answer_for(fail(ESHUTDOWN, "the mount is going away"));
      if (word == "hold") {
        if (going_) return answer_for(fail(ESHUTDOWN, "the mount is going away"));
        if (!std::exchange(held_before_, true)) keep_until_ns_ = 0;
        if (!hold.on) {
          ++holders_;
          hold = {true, handlers_.losses()};
        }
        return answer_for({});
      }
    }
    if (word == "release") {
      const double seconds = request.value("keep_seconds", 0.0);
      const bool going = leave(hold.on ? 1 : 0, static_cast<std::int64_t>(seconds * static_cast<double>(kSecondNs)));
      hold.on = false;
      return dump({{"ok", true}, {"going", going}});
    }
    if (word == "sync") {
      std::string warning;
      Status status = handlers_.sync(&warning);
      // Calls may have told of it, but not whoever waits for the whole of it.
      if (status.ok() && hold.on && handlers_.losses() != hold.losses)
        status = fail(EIO, "changes were lost with the lease");
      return answer_for(status, warning);
    }
    if (word == "refresh") return answer_for(handlers_.refresh());
    if (word == "status") return dump({{"ok", true}, {"status", Json::parse(handlers_.status(), nullptr, false)}});
    if (word == "stop") {
      handlers_.stop();
      return answer_for({});
    }
    log::warn("control: unknown request '", word, "'");
    return answer_for(fail(EINVAL, "unknown request"));
  }

  /// `leaving` holders go and the mount shall stay `keep_ns` more. Then, if it goes by itself, nobody holds it and its
  /// time is over, it is unmounted; nobody gets hold of it meanwhile. Returns whether it was.
  bool leave(int leaving, std::int64_t keep_ns) {
    {
      const MutexLock lock(mu_);
      const std::int64_t now = SystemClock().monotonic_ns();
      holders_ -= leaving;
      if (keep_ns > 0) keep_until_ns_ = std::max(keep_until_ns_, now + keep_ns);
      if (!handlers_.detach_unused || now < keep_until_ns_ || !may_go()) return false;
      going_ = true;
    }
    return go(handlers_.detach_unused);
  }

  bool may_go() const REQUIRES(mu_) { return !ended_ && !going_ && holders_ == 0; }

  /// Under going_, which nobody's hold gets past.
  bool go(const std::function<bool()>& unmount) {
    const bool gone = unmount();
    if (!gone) {
      const MutexLock lock(mu_);
      going_ = false;
    }
    return gone;
  }

  const ControlHandlers handlers_;
  mutable Mutex mu_;
  CondVar changed_;
  std::vector<std::unique_ptr<Peer>> peers_ GUARDED_BY(mu_);
  int holders_ GUARDED_BY(mu_) = 0;
  bool going_ GUARDED_BY(mu_) = false;
  /// A fresh mount waits for its first holder.
  std::int64_t keep_until_ns_ GUARDED_BY(mu_) = SystemClock().monotonic_ns() + kFirstHolderNs;
  bool held_before_ GUARDED_BY(mu_) = false;
  bool ended_ GUARDED_BY(mu_) = false;
  Status how_ GUARDED_BY(mu_);
  UniqueFd listener_;
  std::thread accepter_;
};

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::start(const std::string& path, ControlHandlers handlers) {
  SBOXFS_ASSIGN(UniqueFd listener, listen_on(path));
  return std::unique_ptr<ControlServer>(new Server(std::move(listener), std::move(handlers)));
}

}  // namespace sboxfs
