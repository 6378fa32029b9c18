#include "query.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/tenant.hpp"
#include "schema/migrations.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kSchemaVersion{"schema_version", "SELECT max(version) FROM sboxfs.schema_version"};
constexpr PgStatement kTenants{"tenants", R"sql(
SELECT substr(rolname::text, 10) FROM pg_catalog.pg_roles WHERE rolname::text ^@ 'sboxfs_t_' ORDER BY 1)sql"};

}  // namespace

Result<std::unique_ptr<PgPool>> open_tenant(PgOptions options, std::string_view tenant) {
  SBOXFS_ASSIGN(options.conninfo, tenant_conninfo(options.conninfo, tenant));
  auto pool = std::make_unique<PgPool>(std::move(options));
  auto found = store_detail::run(*pool, kSchemaVersion, PgParams());
  if (found.code() == EACCES) {
    return fail(EACCES, cat("tenant \"", tenant, "\" is not known here, or its password is wrong (", found.error().what,
                            "); `sboxfs init` creates tenants"));
  }
  SBOXFS_TRY(found);
  const int version = found->empty() ? 0 : found->int4(0, 0);
  if (version < schema::kVersion) {
    return fail(EPROTO, cat("the schema has version ", version, ", this program needs ", schema::kVersion,
                            ": run `sboxfs init`"));
  }
  if (version > schema::kVersion) {
    return fail(EPROTO, cat("the schema has version ", version, ", this program knows ", schema::kVersion,
                            ": use a newer sboxfs"));
  }
  return pool;
}

Result<std::vector<std::string>> list_tenants(PgPool& pool) {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kTenants, PgParams()));
  std::vector<std::string> out;
  out.reserve(static_cast<std::size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) out.emplace_back(rows.bytes(row, 0));
  return out;
}

}  // namespace sboxfs
