// ports/lock_store.hpp over Postgres: each call is one statement.
#pragma once

#include "sboxfs/ports/lock_store.hpp"
#include "sboxfs/store/context.hpp"

namespace sboxfs {

/// Thread-safe.
class PgLockStore final : public LockStore {
 public:
  explicit PgLockStore(StoreContext context) : context_(std::move(context)) {}

  Result<LockAnswer> set(const LockRequest& request, const LockTerms& terms) override;
  Result<std::optional<LockConflict>> test(const LockTarget& target, const LockRange& range, LockType type) override;
  Result<LockOutcome> keep(const LockTerms& terms) override;
  Result<LockOutcome> claim(const std::vector<LockClaim>& held, const LockTerms& terms) override;

 private:
  const StoreContext context_;
};

}  // namespace sboxfs
