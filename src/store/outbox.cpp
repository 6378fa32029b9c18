#include "query.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

// No index: it would have to hold the versions, which every commit changes. A tenant's sandboxes are one short scan.
constexpr PgStatement kOutbox{"outbox", R"sql(
SELECT id, version, batch, published_version, epoch, destroyed_at IS NOT NULL,
       coalesce(lease_until <= clock_timestamp(), true)
  FROM sboxfs.sandboxes
 WHERE tenant = $1 AND ((destroyed_at IS NULL AND published_version < version)
                        OR (destroyed_at IS NOT NULL AND erased_at IS NULL))
   -- What nobody else will publish first, however many writers there are.
 ORDER BY destroyed_at IS NULL AND coalesce(lease_until > clock_timestamp(), false)
 LIMIT $2)sql"};
constexpr PgStatement kMark{"mark_published", R"sql(
UPDATE sboxfs.sandboxes SET published_version = least($3, version)
 WHERE tenant = $1 AND id = $2 AND published_version < least($3, version))sql"};
constexpr PgStatement kAudit{"audit", R"sql(
SELECT id, version, batch, published_version, epoch, destroyed_at IS NOT NULL
  FROM sboxfs.sandboxes WHERE tenant = $1 AND id = ANY ($2))sql"};

}  // namespace

Result<std::vector<OutboxItem>> outbox(PgPool& pool, const std::string& tenant, unsigned limit) {
  PgParams params;
  params.text(tenant).int8(limit);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kOutbox, params));
  std::vector<OutboxItem> out;
  out.reserve(static_cast<std::size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) {
    out.push_back({rows.uuid(row, 0), store_detail::read_stamp(rows, row, 1), rows.int8(row, 3), rows.int8(row, 4),
                   rows.boolean(row, 5), rows.boolean(row, 6)});
  }
  return out;
}

Status mark_published(PgPool& pool, const std::string& tenant, const SandboxId& id, Version version) {
  const auto done = store_detail::run(pool, kMark, store_detail::params_of(tenant, id).int8(version));
  return done.ok() ? Status() : Status(done.error());
}

Result<std::vector<AuditRow>> audit(PgPool& pool, const std::string& tenant, std::span<const SandboxId> ids) {
  PgParams params;
  params.text(tenant).uuids(ids, [](const SandboxId& id) { return id; });
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kAudit, params));
  std::vector<AuditRow> out;
  out.reserve(static_cast<std::size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) {
    out.push_back({rows.uuid(row, 0), store_detail::read_stamp(rows, row, 1), rows.int8(row, 3), rows.int8(row, 4),
                   rows.boolean(row, 5)});
  }
  return out;
}

}  // namespace sboxfs
