// A destroyed sandbox, taken away in steps.
#include "query.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kDestroyed{"destroyed_sandboxes", R"sql(
SELECT id, )sql" SBOXFS_NS_OF("clock_timestamp() - destroyed_at") R"sql(, erased_at IS NOT NULL
  FROM sboxfs.sandboxes WHERE tenant = $1 AND destroyed_at IS NOT NULL ORDER BY destroyed_at LIMIT $2)sql"};
constexpr PgStatement kErased{"mark_erased", R"sql(
UPDATE sboxfs.sandboxes SET erased_at = coalesce(erased_at, clock_timestamp())
 WHERE tenant = $1 AND id = $2 AND destroyed_at IS NOT NULL)sql"};

/// Up to $3 rows of one table, by their addresses.
#define SBOXFS_PURGE(table)                                                                                        \
  PgStatement {                                                                                                    \
    "purge_" table, "SELECT sboxfs.delete_rows('sboxfs." table "', $1, $2, ARRAY(SELECT r.ctid FROM sboxfs." table \
                    " r WHERE "                                                                                    \
                    "r.tenant = $1 AND r.sandbox = $2 AND EXISTS (SELECT FROM sboxfs.sandboxes s WHERE "           \
                    "s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NOT NULL) LIMIT $3))"                       \
  }
constexpr PgStatement kTables[] = {
    SBOXFS_PURGE("sessions"),   SBOXFS_PURGE("pins"),    SBOXFS_PURGE("locks"),   SBOXFS_PURGE("lock_holders"),
    SBOXFS_PURGE("lock_roots"), SBOXFS_PURGE("dirents"), SBOXFS_PURGE("patches"), SBOXFS_PURGE("chunks"),
    SBOXFS_PURGE("ranges"),     SBOXFS_PURGE("xattrs"),  SBOXFS_PURGE("orphans"), SBOXFS_PURGE("inodes"),
    SBOXFS_PURGE("changes"),
};

#define SBOXFS_NONE(table) " AND NOT EXISTS (SELECT FROM sboxfs." table " r WHERE r.tenant = $1 AND r.sandbox = $2)"
constexpr PgStatement kForget{"forget_sandbox",
                              "DELETE FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2 AND erased_at IS NOT NULL "
                              "AND destroyed_at <= clock_timestamp() - " SBOXFS_NS("$3") SBOXFS_NONE("sessions")
                                  SBOXFS_NONE("pins") SBOXFS_NONE("locks") SBOXFS_NONE("lock_holders")
                                      SBOXFS_NONE("lock_roots") SBOXFS_NONE("dirents") SBOXFS_NONE("patches")
                                          SBOXFS_NONE("chunks") SBOXFS_NONE("ranges") SBOXFS_NONE("xattrs")
                                              SBOXFS_NONE("orphans") SBOXFS_NONE("inodes") SBOXFS_NONE("changes")};
constexpr PgStatement kExists{"sandbox_row", "SELECT 1 FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2"};

}  // namespace

Result<std::vector<DestroyedSandbox>> destroyed_sandboxes(PgPool& pool, const std::string& tenant, unsigned limit) {
  PgParams params;
  params.text(tenant).int8(limit);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kDestroyed, params));
  std::vector<DestroyedSandbox> out;
  out.reserve(static_cast<std::size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) {
    out.push_back({rows.uuid(row, 0), rows.int8(row, 1), rows.boolean(row, 2)});
  }
  return out;
}

Status mark_erased(PgPool& pool, const std::string& tenant, const SandboxId& id) {
  const auto done = store_detail::run(pool, kErased, store_detail::params_of(tenant, id));
  return done.ok() ? Status() : Status(done.error());
}

Result<std::uint64_t> purge_step(PgPool& pool, const std::string& tenant, const SandboxId& id, unsigned limit) {
  std::uint64_t deleted = 0;
  for (const PgStatement& table : kTables) {
    const auto left = static_cast<std::int64_t>(limit) - static_cast<std::int64_t>(deleted);
    if (left <= 0) break;
    SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, table, store_detail::params_of(tenant, id).int8(left)));
    deleted += rows.uint8(0, 0);
  }
  return deleted;
}

Result<bool> forget_sandbox(PgPool& pool, const std::string& tenant, const SandboxId& id, std::int64_t age_ns) {
  SBOXFS_TRY(store_detail::run(pool, kForget, store_detail::params_of(tenant, id).int8(age_ns)));
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kExists, store_detail::params_of(tenant, id)));
  return rows.empty();
}

}  // namespace sboxfs
