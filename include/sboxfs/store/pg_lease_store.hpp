// ports/lease_store.hpp over Postgres.
#pragma once

#include "sboxfs/ports/lease_store.hpp"
#include "sboxfs/store/context.hpp"

namespace sboxfs {

/// Thread-safe.
class PgLeaseStore final : public LeaseStore {
 public:
  explicit PgLeaseStore(StoreContext context) : context_(std::move(context)) {}

  Result<LeaseAnswer> acquire(std::int64_t lease_ns, const std::optional<SessionId>& dead_holder) override;
  Result<LeaseState> renew(Epoch epoch, std::int64_t lease_ns) override;
  Status release(Epoch epoch) override;
  Result<LeaseState> look() override;
  Result<Stamp> open_session(const std::string& host, const std::string& mount_point, std::int64_t alive_ns) override;
  Status keep_session(Version seen, std::span<const Ino> pins, std::int64_t alive_ns) override;
  Status close_session() override;

 private:
  const StoreContext context_;
};

/// Inode numbers a lease comes with.
constexpr std::uint64_t kInosPerLease = 65536;

}  // namespace sboxfs
