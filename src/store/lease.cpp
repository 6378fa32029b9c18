#include <algorithm>

#include "query.hpp"
#include "sboxfs/store/pg_lease_store.hpp"

namespace sboxfs {
namespace {

#define SBOXFS_LEASE_COLUMNS                                                                                         \
  "CASE WHEN lease_until > clock_timestamp() THEN writer END, wanted_by, epoch, version, batch, "                    \
  "published_version, destroyed_at IS NOT NULL, " SBOXFS_NS_OF("lease_until - clock_timestamp()") ", " SBOXFS_NS_OF( \
      "clock_timestamp()")

constexpr PgStatement kAcquire{"acquire", "SELECT * FROM sboxfs.acquire_lease($1, $2, $3, $4, $5, $6)"};
constexpr PgStatement kRenew{"renew",
                             "UPDATE sboxfs.sandboxes SET lease_until = clock_timestamp() + " SBOXFS_NS("$5") R"sql(
 WHERE tenant = $1 AND id = $2 AND writer = $3 AND epoch = $4 AND lease_until IS NOT NULL AND destroyed_at IS NULL
RETURNING )sql" SBOXFS_LEASE_COLUMNS};
constexpr PgStatement kRelease{"release", R"sql(
UPDATE sboxfs.sandboxes SET lease_until = NULL WHERE tenant = $1 AND id = $2 AND writer = $3 AND epoch = $4)sql"};
constexpr PgStatement kLook{"look",
                            "SELECT " SBOXFS_LEASE_COLUMNS " FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2"};

std::optional<SessionId> optional_uuid(const PgRows& rows, int column) {
  if (rows.is_null(0, column)) return std::nullopt;
  return rows.uuid(0, column);
}

LeaseState read_state(const PgRows& rows, int first) {
  LeaseState out;
  out.writer = optional_uuid(rows, first);
  out.wanted_by = optional_uuid(rows, first + 1);
  out.epoch = rows.int8(0, first + 2);
  out.stamp = store_detail::read_stamp(rows, 0, first + 3);
  out.published_version = rows.int8(0, first + 5);
  out.destroyed = rows.boolean(0, first + 6);
  out.left_ns = std::max<std::int64_t>(0, rows.int8(0, first + 7));
  out.database_wall_ns = rows.int8(0, first + 8);
  return out;
}

}  // namespace

Result<LeaseAnswer> PgLeaseStore::acquire(std::int64_t lease_ns, const std::optional<SessionId>& dead_holder) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).int8(lease_ns);
  if (dead_holder) {
    params.uuid(*dead_holder);
  } else {
    params.null_uuid();
  }
  params.uint8(kInosPerLease);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kAcquire, params));
  LeaseAnswer out;
  out.state = read_state(rows, 2);
  if (out.state.destroyed) return fail(ESTALE, "the sandbox was destroyed");
  if (rows.boolean(0, 0)) {
    out.grant = LeaseGrant{out.state.epoch,
                           out.state.stamp,
                           rows.uint8(0, 1),
                           kInosPerLease,
                           out.state.database_wall_ns,
                           out.state.published_version};
  }
  return out;
}

Result<LeaseState> PgLeaseStore::renew(Epoch epoch, std::int64_t lease_ns) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).int8(epoch).int8(lease_ns);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(*context_.pool, kRenew, params));
  if (rows.empty()) return fail(ESTALE, "the lease is no longer ours");
  return read_state(rows, 0);
}

Status PgLeaseStore::release(Epoch epoch) {
  const auto done =
      store_detail::run(*context_.pool, kRelease, store_detail::params_of(context_).uuid(context_.session).int8(epoch));
  return done.ok() ? Status() : Status(done.error());
}

Result<LeaseState> PgLeaseStore::look() {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kLook, store_detail::params_of(context_)));
  return read_state(rows, 0);
}

}  // namespace sboxfs
