#include "query.hpp"
#include "sboxfs/store/pg_lock_store.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kSet{"set_lock",
                           "SELECT * FROM sboxfs.set_lock($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
                           "$15, $16, $17, $18, $19, $20, $21, $22, $23)"};

/// The dead do not count, as soon as somebody may break their locks.
constexpr PgStatement kTest{"test_lock", R"sql(
SELECT l.session, l.owner, l.start, l.stop, l.exclusive, l.pid
  FROM sboxfs.locks l JOIN sboxfs.lock_holders h
    ON h.tenant = l.tenant AND h.sandbox = l.sandbox AND h.session = l.session AND h.until > clock_timestamp()
 WHERE l.tenant = $1 AND l.sandbox = $2 AND l.kind = $3 AND l.ino = $4 AND NOT l.waiting
   AND (l.session <> $5 OR l.owner <> $6) AND l.start <= $8 AND l.stop >= $7 AND ($9 OR l.exclusive)
 ORDER BY l.start LIMIT 1)sql"};

/// FOR SHARE: whoever is breaking locks has either seen this renewal or is done.
constexpr PgStatement kKeep{"keep_locks", R"sql(
WITH r AS (SELECT FROM sboxfs.lock_roots WHERE tenant = $1 AND sandbox = $2 FOR SHARE)
SELECT sboxfs.hold_locks($1, $2, $3, $4, $5, )sql" SBOXFS_NS("$6") ", 9223372036854775807, 0) FROM r"};

constexpr PgStatement kClaim{"claim_locks",
                             "SELECT sboxfs.claim_locks($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"};

LockConflict read_conflict(const PgRows& rows, int first) {
  LockConflict out;
  out.session = rows.uuid(0, first);
  out.owner = rows.uint8(0, first + 1);
  out.range = {rows.uint8(0, first + 2), rows.uint8(0, first + 3), rows.boolean(0, first + 4), rows.int4(0, first + 5)};
  return out;
}

}  // namespace

Result<LockAnswer> PgLockStore::set(const LockRequest& request, const LockTerms& terms) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).int8(terms.incarnation).boolean(terms.holds).int8(terms.lease_ns);
  if (request.dead) {
    params.uuid(*request.dead);
  } else {
    params.null_uuid();
  }
  const LockRange& range = request.range;
  params.int4(static_cast<int>(request.target.kind)).uint8(request.target.ino).uint8(request.target.owner);
  params.uint8(range.start).uint8(range.stop).int4(static_cast<int>(request.type)).int4(range.pid);
  params.boolean(request.wait).int8(request.polite_ns).boolean(request.dirty);
  params.int8s(request.after, [](const LockRange& held) { return held.start; });
  params.int8s(request.after, [](const LockRange& held) { return held.stop; });
  params.int4s(request.after, [](const LockRange& held) { return held.exclusive ? 1 : 0; });
  params.int4s(request.after, [](const LockRange& held) { return held.pid; });
  params.int8(terms.call).int8(terms.fence);
  // Not repeatable: the caller fences off what an attempt may still do.
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kSet, params, {.repeatable = false}));
  LockAnswer out;
  out.outcome = static_cast<LockOutcome>(rows.int4(0, 0));
  out.wakes = rows.boolean(0, 1);
  if (!rows.is_null(0, 2)) out.conflict = read_conflict(rows, 2);
  if (!rows.is_null(0, 8)) out.writer = rows.uuid(0, 8);
  out.stamp = store_detail::read_stamp(rows, 0, 9);
  return out;
}

Result<std::optional<LockConflict>> PgLockStore::test(const LockTarget& target, const LockRange& range, LockType type) {
  PgParams params = store_detail::params_of(context_);
  params.int4(static_cast<int>(target.kind)).uint8(target.ino).uuid(context_.session).uint8(target.owner);
  params.uint8(range.start).uint8(range.stop).boolean(type == LockType::exclusive);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(*context_.pool, kTest, params));
  if (rows.empty()) return std::optional<LockConflict>();
  return std::optional<LockConflict>(read_conflict(rows, 0));
}

Result<LockOutcome> PgLockStore::keep(const LockTerms& terms) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).int8(terms.incarnation).boolean(terms.holds).int8(terms.lease_ns);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kKeep, params));
  const int kept = rows.int4(0, 0);
  return kept > 1 ? static_cast<LockOutcome>(kept) : LockOutcome::done;
}

Result<LockOutcome> PgLockStore::claim(const std::vector<LockClaim>& held, const LockTerms& terms) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).int8(terms.incarnation).int8(terms.lease_ns);
  params.int4s(held, [](const LockClaim& claim) { return static_cast<int>(claim.target.kind); });
  params.int8s(held, [](const LockClaim& claim) { return claim.target.ino; });
  params.int8s(held, [](const LockClaim& claim) { return claim.target.owner; });
  params.int8s(held, [](const LockClaim& claim) { return claim.range.start; });
  params.int8s(held, [](const LockClaim& claim) { return claim.range.stop; });
  params.int4s(held, [](const LockClaim& claim) { return claim.range.exclusive ? 1 : 0; });
  params.int4s(held, [](const LockClaim& claim) { return claim.range.pid; });
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kClaim, params));
  return static_cast<LockOutcome>(rows.int4(0, 0));
}

}  // namespace sboxfs
