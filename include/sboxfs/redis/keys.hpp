// The version keys of a tenant's sandboxes, over one connection with a circuit breaker.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/model/ids.hpp"
#include "sboxfs/redis/options.hpp"

struct redisContext;

namespace sboxfs {

/// vfs:TENANT:ver:ID and vfs:TENANT:news:ID.
std::string version_key(const std::string& tenant, const SandboxId& id);
std::string news_channel(const std::string& tenant, const SandboxId& id);

/// Thread-safe: calls take turns on one connection, each bounded by the call time-out. After a failure the breaker is
/// open: calls answer EAGAIN at once, and one call every 500 ms tries again. Errors: as ports/bus.hpp.
class RedisKeys {
 public:
  RedisKeys(RedisOptions options, std::string tenant);
  ~RedisKeys();

  /// max(key, version), announced with `message` in the same script. Returns the key's value afterwards.
  Result<Version> publish(const SandboxId& id, Version version, std::string_view message);
  Status announce(const SandboxId& id, std::string_view message);
  Result<std::optional<Version>> published(const SandboxId& id);
  Status lower(const SandboxId& id, Version from, Version to);
  Status erase(const SandboxId& id);

  /// Redis is known to answer again (the subscription is back): the next call tries at once.
  void close_breaker() { retry_ns_ = 0; }

  const RedisOptions& options() const { return options_; }
  const std::string& tenant() const { return tenant_; }

 private:
  struct Reply;
  using Words = std::vector<std::string_view>;
  Result<Reply> call(const Words& words);
  Result<Reply> run_script(std::string_view script, std::string& sha, const Words& keys_and_arguments);
  Status connect() REQUIRES(turn_);
  void disconnect() REQUIRES(turn_);

  const RedisOptions options_;
  const std::string tenant_;
  const SystemClock clock_;
  std::atomic<std::int64_t> retry_ns_{0};  // monotonic time before which calls fail at once; 0: closed
  Mutex turn_;                             // held for one bounded call
  redisContext* context_ GUARDED_BY(turn_) = nullptr;
  std::string publish_sha_ GUARDED_BY(sha_mutex_);
  std::string lower_sha_ GUARDED_BY(sha_mutex_);
  Mutex sha_mutex_;
};

}  // namespace sboxfs
