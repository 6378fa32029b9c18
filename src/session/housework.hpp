// What a housekeeper does it on: the tenant's rows and keys.
#pragma once

#include <string>
#include <vector>

#include "sboxfs/pg/pool.hpp"
#include "sboxfs/redis/keys.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {

/// One short step each. Thread-safe. Errors: as store/janitor.hpp and ports/bus.hpp.
class Housework {
 public:
  virtual ~Housework() = default;

  virtual Result<std::vector<OutboxItem>> outbox() = 0;
  /// Tells Redis of the item's version; returns the key's value.
  virtual Result<Version> publish(const OutboxItem& item) = 0;
  virtual Status mark_published(const OutboxItem& item) = 0;
  virtual Status erase_key(const SandboxId& id) = 0;
  virtual Status mark_erased(const SandboxId& id) = 0;

  virtual Result<std::vector<DestroyedSandbox>> destroyed(unsigned limit) = 0;
  virtual Result<std::uint64_t> purge(const SandboxId& id, unsigned limit) = 0;
  virtual Result<bool> forget(const SandboxId& id, std::int64_t age_ns) = 0;

  virtual Result<std::uint64_t> delete_dead_sessions(unsigned limit) = 0;
  virtual Result<std::uint64_t> delete_orphans(unsigned limit) = 0;
  virtual Result<std::uint64_t> delete_old_changes(unsigned limit) = 0;
  virtual Result<std::uint64_t> delete_dead_blobs(unsigned limit) = 0;
  virtual Result<MarkedBlobs> mark_dead_blobs(const Hash& from, unsigned limit) = 0;
};

/// The real ones. Pool and keys are not owned.
class TenantHousework final : public Housework {
 public:
  TenantHousework(PgPool& pool, RedisKeys& keys, std::string tenant)
      : pool_(pool), keys_(keys), tenant_(std::move(tenant)) {}

  Result<std::vector<OutboxItem>> outbox() override;
  Result<Version> publish(const OutboxItem& item) override;
  Status mark_published(const OutboxItem& item) override;
  Status erase_key(const SandboxId& id) override;
  Status mark_erased(const SandboxId& id) override;
  Result<std::vector<DestroyedSandbox>> destroyed(unsigned limit) override;
  Result<std::uint64_t> purge(const SandboxId& id, unsigned limit) override;
  Result<bool> forget(const SandboxId& id, std::int64_t age_ns) override;
  Result<std::uint64_t> delete_dead_sessions(unsigned limit) override;
  Result<std::uint64_t> delete_orphans(unsigned limit) override;
  Result<std::uint64_t> delete_old_changes(unsigned limit) override;
  Result<std::uint64_t> delete_dead_blobs(unsigned limit) override;
  Result<MarkedBlobs> mark_dead_blobs(const Hash& from, unsigned limit) override;

 private:
  PgPool& pool_;
  RedisKeys& keys_;
  const std::string tenant_;
};

}  // namespace sboxfs
