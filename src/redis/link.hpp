// One connection for commands, and the circuit breaker before it.
#pragma once

#include <cstdint>
#include <string_view>
#include <thread>
#include <vector>

#include "connect.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/mutex.hpp"

namespace sboxfs {

/// Connections are made by a thread of the link's own, since a name server can keep a connect waiting for longer than
/// any call may take; it starts with the first call. Calls take turns on the connection. Thread-safe.
///
///   connecting ── made ──> ready <── answered ── busy        calls wait in these three, up to their deadline
///        └── failed, or a call's time passed ──> open <── time-out or connection lost ── busy
///   open: calls fail at once; every 500 ms the thread tries, and a success leads to ready.
class CommandLink {
 public:
  explicit CommandLink(const RedisOptions& options) : options_(options) {}
  ~CommandLink();
  CommandLink(const CommandLink&) = delete;
  CommandLink& operator=(const CommandLink&) = delete;

  /// When a call that starts now has to be over.
  std::int64_t deadline() const { return clock_.monotonic_ns() + options_.call_timeout_ns; }
  /// One command and its answer, an error reply included, by `deadline`. Errors: EAGAIN, or EACCES while Redis refuses
  /// the password.
  Result<RedisReply> call(const std::vector<std::string_view>& words, std::int64_t deadline) EXCLUDES(mutex_);
  /// Ends connection and thread; the next call connects again. A call under way keeps its connection.
  void disconnect() EXCLUDES(mutex_);
  /// Redis is known to answer: calls wait for a connection again instead of failing.
  void retry_now() EXCLUDES(mutex_);

 private:
  enum class State { connecting, ready, busy, open };
  void loop(const std::stop_token& stop) EXCLUDES(mutex_);
  /// Waits for a turn and takes the connection.
  Result<RedisConnection> take(std::int64_t deadline) EXCLUDES(mutex_);
  void give_back(RedisConnection connection, const RedisReply& reply) EXCLUDES(mutex_);

  const RedisOptions options_;
  const SystemClock clock_;
  Mutex mutex_;
  CondVar changed_;
  State state_ GUARDED_BY(mutex_) = State::connecting;
  RedisConnection connection_ GUARDED_BY(mutex_);   ///< in state ready
  Error reason_ GUARDED_BY(mutex_);                 ///< in state open: why
  std::int64_t attempt_ns_ GUARDED_BY(mutex_) = 0;  ///< when the thread last began to connect; 0: at once
  std::uint64_t retries_ GUARDED_BY(mutex_) = 0;    ///< calls of retry_now()
  std::jthread thread_ GUARDED_BY(mutex_);
};

}  // namespace sboxfs
