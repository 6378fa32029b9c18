// The subscription to one sandbox's channel, on a thread and connection of its own.
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "connect.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/fd.hpp"
#include "sboxfs/ports/bus.hpp"
#include "sboxfs/redis/options.hpp"

namespace sboxfs {

/// Connects, listens, and connects again for ever. A Redis that hangs is noticed by pings within about a second. The
/// listener's handlers run on its thread; none does after the destructor has returned.
class Subscription {
 public:
  Subscription(RedisOptions options, std::string channel, Bus::Listener listener);
  ~Subscription();
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  bool connected() const { return connected_; }

 private:
  void loop(const std::stop_token& stop);
  Result<RedisConnection> subscribe() const;
  /// Until the connection is lost, or the stop.
  void listen(redisContext* context, const std::stop_token& stop);
  /// Everything that has been read already; false when the connection is of no more use.
  bool handle_input(redisContext* context);
  bool handle(const redisReply& reply);
  /// Waits for input or the stop; true when there is input.
  bool wait(int fd, std::int64_t ns);

  const RedisOptions options_;
  const std::string channel_;
  const Bus::Listener listener_;
  const SystemClock clock_;
  UniqueFd wake_;
  std::atomic<bool> connected_{false};
  std::jthread thread_;
};

}  // namespace sboxfs
