#include "query.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kDelete{"delete_dead_sessions", R"sql(
WITH dead AS (
  SELECT sandbox, session FROM sboxfs.sessions
   WHERE tenant = $1 AND alive_until < clock_timestamp() - )sql" SBOXFS_NS("$3") R"sql(
   LIMIT $2 FOR UPDATE SKIP LOCKED),
pins AS (
  DELETE FROM sboxfs.pins p USING dead d WHERE p.tenant = $1 AND p.sandbox = d.sandbox AND p.session = d.session),
locks AS (
  DELETE FROM sboxfs.locks l USING dead d WHERE l.tenant = $1 AND l.sandbox = d.sandbox AND l.session = d.session),
holders AS (
  DELETE FROM sboxfs.lock_holders h USING dead d WHERE h.tenant = $1 AND h.sandbox = d.sandbox AND h.session = d.session),
deleted AS (
  DELETE FROM sboxfs.sessions s USING dead d
   WHERE s.tenant = $1 AND s.sandbox = d.sandbox AND s.session = d.session RETURNING 1)
SELECT count(*) FROM deleted)sql"};

}  // namespace

Result<std::uint64_t> delete_dead_sessions(PgPool& pool, const std::string& tenant, unsigned limit,
                                           std::int64_t age_ns) {
  PgParams params;
  params.text(tenant).int8(limit).int8(age_ns);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kDelete, params));
  return rows.uint8(0, 0);
}

}  // namespace sboxfs
