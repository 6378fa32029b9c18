// The version keys of a tenant's sandboxes, over one connection with a circuit breaker.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sboxfs/model/ids.hpp"
#include "sboxfs/redis/options.hpp"

namespace sboxfs {

class CommandLink;

/// vfs:TENANT:ver:ID and vfs:TENANT:news:ID.
std::string version_key(const std::string& tenant, const SandboxId& id);
std::string news_channel(const std::string& tenant, const SandboxId& id);

/// Thread-safe: calls take turns on one connection, each within the call time-out. After a time-out or a lost
/// connection the breaker is open: calls fail at once, and a thread in the background tries again every 500 ms. An
/// error that Redis answered (EIO) leaves the breaker closed. Errors: as ports/bus.hpp.
class RedisKeys {
 public:
  /// Connects at the first call.
  RedisKeys(RedisOptions options, std::string tenant);
  ~RedisKeys();

  /// max(key, version), announced with `message` in the same script. Returns the key's value afterwards.
  Result<Version> publish(const SandboxId& id, Version version, std::string_view message);
  Status announce(const SandboxId& id, std::string_view message);
  Result<std::optional<Version>> published(const SandboxId& id);
  Status lower(const SandboxId& id, Version from, Version to);
  Status erase(const SandboxId& id);

  /// Redis is known to answer again (the subscription is back): the next call waits for a connection again.
  void close_breaker();

  /// Ends connection and thread until the next call (idle eviction).
  void disconnect();

  const RedisOptions& options() const { return options_; }
  const std::string& tenant() const { return tenant_; }

 private:
  const RedisOptions options_;
  const std::string tenant_;
  std::unique_ptr<CommandLink> link_;
};

}  // namespace sboxfs
