// ports/bus.hpp over Redis: commands by RedisKeys, news by a subscription on a connection and thread of its own.
#pragma once

#include <memory>
#include <string>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/ports/bus.hpp"
#include "sboxfs/redis/keys.hpp"

namespace sboxfs {

class Subscription;

/// Thread-safe; start() and stop() by one thread, in turns.
class RedisBus final : public Bus {
 public:
  RedisBus(RedisOptions options, std::string tenant, SandboxId sandbox);
  ~RedisBus() override;

  Result<Version> publish(const News& version_news) override;
  Status announce(const News& news) override;
  Result<std::optional<Version>> published() override;
  Status lower(Version from, Version to) override;
  Status erase() override;
  void listen(Listener listener) override;
  void start() override EXCLUDES(mutex_);
  void stop() override EXCLUDES(mutex_);
  bool connected() const override EXCLUDES(mutex_);

  /// The command half, for the drainer of other sandboxes.
  RedisKeys& keys() { return keys_; }

 private:
  RedisKeys keys_;
  const SandboxId sandbox_;
  Listener listener_;
  mutable Mutex mutex_;
  std::unique_ptr<Subscription> subscription_ GUARDED_BY(mutex_);
};

}  // namespace sboxfs
