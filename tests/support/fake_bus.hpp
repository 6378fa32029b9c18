// One sandbox's key and channel in a Redis that a test can stop, flush and make lose messages; and the ends of it that
// sessions hold.
//
//   FakeRedis redis;
//   FakeBus one(redis), two(redis);     // what one announces, both hear, each on a thread of its own
//   redis.go_away(); ... redis.come_back();
//   redis.lose_messages(1);             // the next message reaches nobody
//   redis.say(news);                    // a forged announcement
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/ports/bus.hpp"

namespace sboxfs::test {

class FakeBus;

/// Thread-safe.
class FakeRedis {
 public:
  void go_away() EXCLUDES(mutex_);
  void come_back() EXCLUDES(mutex_);
  void lose_messages(unsigned count) EXCLUDES(mutex_);
  /// Sets or removes the key.
  void set_key(std::optional<Version> key) EXCLUDES(mutex_);
  std::optional<Version> key() const EXCLUDES(mutex_);
  /// Announces without a session.
  void say(const News& news) EXCLUDES(mutex_);

  /// Calls of publish() so far: those that arrived, and all.
  std::size_t publishes() const EXCLUDES(mutex_);
  std::size_t attempts() const EXCLUDES(mutex_);
  /// Calls of lower() that changed the key.
  std::size_t lowered() const EXCLUDES(mutex_);
  /// Everything that was announced.
  std::vector<News> announced() const EXCLUDES(mutex_);

 private:
  friend class FakeBus;
  void send(const News& news) REQUIRES(mutex_);

  mutable Mutex mutex_;
  bool away_ GUARDED_BY(mutex_) = false;
  unsigned lose_ GUARDED_BY(mutex_) = 0;
  std::optional<Version> key_ GUARDED_BY(mutex_);
  std::size_t publishes_ GUARDED_BY(mutex_) = 0;
  std::size_t attempts_ GUARDED_BY(mutex_) = 0;
  std::size_t lowered_ GUARDED_BY(mutex_) = 0;
  std::vector<News> announced_ GUARDED_BY(mutex_);
  std::set<FakeBus*> ends_ GUARDED_BY(mutex_);
};

/// Thread-safe. Must go before its FakeRedis.
class FakeBus final : public Bus {
 public:
  explicit FakeBus(FakeRedis& redis) : redis_(redis) {}
  ~FakeBus() override { stop(); }

  Result<Version> publish(const News& version_news) override;
  Status announce(const News& news) override;
  Result<std::optional<Version>> published() override;
  Status lower(Version from, Version to) override;
  Status erase() override;
  void listen(Listener listener) override { listener_ = std::move(listener); }
  void start() override;
  void stop() override;
  bool connected() const override;

 private:
  friend class FakeRedis;
  void deliver(const std::stop_token& stop);
  void enqueue(std::function<void()> event) EXCLUDES(mutex_);

  FakeRedis& redis_;
  Listener listener_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> events_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace sboxfs::test
