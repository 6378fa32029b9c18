#include "link.hpp"

#include <poll.h>

#include <chrono>

#include "sboxfs/base/blocking.hpp"

namespace sboxfs {
namespace {

constexpr std::int64_t kRetryNs = 500 * kMillisecondNs;

Error away() { return fail(EAGAIN, "Redis does not answer"); }

/// Between two commands there is nothing to read, unless Redis has closed the connection.
bool closed_by_peer(const redisContext& context) {
  pollfd fd{context.fd, POLLIN, 0};
  return ::poll(&fd, 1, 0) != 0;
}

/// Whether after this answer another connection may do better: a server that is still loading or has become a replica.
bool is_unfit(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ERROR) return false;
  const std::string_view text(reply.str, reply.len);
  return redis_error(reply).code == EAGAIN || text.substr(0, 6) == "NOAUTH";
}

}  // namespace

CommandLink::~CommandLink() { disconnect(); }

void CommandLink::disconnect() {
  std::jthread thread;
  RedisConnection connection;  // closed without the mutex
  {
    MutexLock lock(mutex_);
    thread = std::move(thread_);
    thread.request_stop();
    changed_.notify_all();
  }
  if (thread.joinable()) thread.join();
  MutexLock lock(mutex_);
  if (state_ == State::busy || thread_.joinable()) return;
  connection = std::move(connection_);
  state_ = State::connecting;
  attempt_ns_ = 0;
}

Result<RedisReply> CommandLink::call(const std::vector<std::string_view>& words, std::int64_t deadline) {
  {
    MutexLock lock(mutex_);
    if (state_ == State::open) return reason_;
  }
  BlockingSection waiting;
  SBOXFS_ASSIGN(RedisConnection connection, take(deadline));
  limit_redis(connection.get(), deadline - clock_.monotonic_ns());
  RedisReply reply = redis_command(connection.get(), words);
  give_back(std::move(connection), reply);
  if (!reply) return away();
  return reply;
}

Result<RedisConnection> CommandLink::take(std::int64_t deadline) {
  // The command itself needs some time: who gets his turn only at the very end would break the connection for all.
  const std::int64_t latest = deadline - options_.call_timeout_ns / 4;
  RedisConnection stale;  // closed without the mutex
  MutexLock lock(mutex_);
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
  for (;;) {
    if (state_ == State::open) return reason_;
    if (state_ == State::ready) {
      if (!closed_by_peer(*connection_)) break;
      stale = std::move(connection_);
      state_ = State::connecting;
      attempt_ns_ = 0;
      changed_.notify_all();
    }
    const std::int64_t left = latest - clock_.monotonic_ns();
    if (left <= 0) {
      if (state_ == State::connecting) {  // the calls behind this one do not wait as well
        state_ = State::open;
        reason_ = away();
        changed_.notify_all();
      }
      return away();
    }
    changed_.wait_for(lock, std::chrono::nanoseconds(left));
  }
  state_ = State::busy;
  return std::move(connection_);
}

void CommandLink::give_back(RedisConnection connection, const RedisReply& reply) {
  const bool broken = !reply || is_unfit(*reply);
  MutexLock lock(mutex_);
  if (broken) {
    state_ = State::open;
    reason_ = reply ? redis_error(*reply) : away();
  } else {
    state_ = State::ready;
    connection_ = std::move(connection);
  }
  changed_.notify_all();
}

void CommandLink::retry_now() {
  MutexLock lock(mutex_);
  ++retries_;
  if (state_ != State::open) return;
  state_ = State::connecting;
  attempt_ns_ = 0;
  changed_.notify_all();
}

void CommandLink::loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::uint64_t retries = 0;
    {
      MutexLock lock(mutex_);
      const bool wanted = state_ == State::connecting || state_ == State::open;
      const std::int64_t now = clock_.monotonic_ns();
      if (stop.stop_requested()) return;
      if (!wanted) {
        changed_.wait(lock);
        continue;
      }
      if (attempt_ns_ != 0 && now < attempt_ns_ + kRetryNs) {
        changed_.wait_for(lock, std::chrono::nanoseconds(attempt_ns_ + kRetryNs - now));
        continue;
      }
      attempt_ns_ = now;
      retries = retries_;
    }
    Result<RedisConnection> made = connect_redis(options_);
    MutexLock lock(mutex_);
    if (made.ok()) {
      state_ = State::ready;
      connection_ = std::move(*made);
    } else if (retries_ != retries) {
      attempt_ns_ = 0;  // Redis came back during the attempt: again, without a pause
    } else {
      state_ = State::open;
      reason_ = made.error();
    }
    changed_.notify_all();
  }
}

}  // namespace sboxfs
