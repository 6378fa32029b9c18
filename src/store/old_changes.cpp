#include "query.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

// Versions are committed in the order of time: of each sandbox's first rows, those past the age go.
constexpr PgStatement kDelete{"delete_old_changes", R"sql(
WITH old AS (
  SELECT c.ctid AS row
    FROM sboxfs.sandboxes s
   CROSS JOIN LATERAL (SELECT c.ctid, committed_at FROM sboxfs.changes c
                        WHERE c.tenant = $1 AND c.sandbox = s.id AND c.version < s.version - $4
                        ORDER BY version LIMIT $2) c
   WHERE s.tenant = $1 AND c.committed_at < now() - )sql" SBOXFS_NS("$3") R"sql(
   LIMIT $2),
deleted AS (
  DELETE FROM sboxfs.changes WHERE tenant = $1 AND ctid = ANY (ARRAY(SELECT row FROM old)) RETURNING 1)
SELECT count(*) FROM deleted)sql"};

}  // namespace

Result<std::uint64_t> delete_old_changes(PgPool& pool, const std::string& tenant, unsigned limit, std::int64_t age_ns,
                                         Version keep) {
  PgParams params;
  params.text(tenant).int8(limit).int8(age_ns).int8(keep);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kDelete, params));
  return rows.uint8(0, 0);
}

}  // namespace sboxfs
