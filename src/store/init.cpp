// Roles, schema and tenant: what `sboxfs init` does, in one transaction.
#include "sboxfs/base/text.hpp"
#include "sboxfs/pg/admin_connection.hpp"
#include "sboxfs/pg/conninfo.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/tenant.hpp"
#include "schema/migrations.hpp"

namespace sboxfs {
namespace {

/// Any number; the same in every version of the program, for hosts that run init at once.
constexpr const char* kLock = "SELECT pg_advisory_xact_lock(6025519403)";

/// Roles belong to the whole server: another database's init may create them at the same moment.
constexpr const char* kRoles = R"sql(
DO $do$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['sboxfs_owner', 'sboxfs_t'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
      END;
    END IF;
  END LOOP;
  IF NOT pg_has_role(current_user, 'sboxfs_owner', 'MEMBER') THEN
    EXECUTE format('GRANT sboxfs_owner TO %I', current_user);
  END IF;
END
$do$;
)sql";

/// Creating a schema for another role needs both: CREATE on the database and membership in the role.
constexpr const char* kSchema = R"sql(
DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'sboxfs') THEN
    CREATE SCHEMA sboxfs AUTHORIZATION sboxfs_owner;
  END IF;
END
$do$;
SET LOCAL ROLE sboxfs_owner;
CREATE TABLE IF NOT EXISTS sboxfs.schema_version (
  version integer PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
)sql";

/// Settings of a tenant's role. Time-outs: nothing may hang longer than the lease. Plans: every statement goes by
/// index and nested loop, and is planned once; statistics of tables that have just grown must not talk it out of that.
constexpr const char* kSettings[] = {
    "statement_timeout=10s",
    "lock_timeout=5s",
    "idle_in_transaction_session_timeout=10s",
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "enable_material=off",
    "jit=off",
    "max_parallel_workers_per_gather=0",
    "plan_cache_mode=force_generic_plan",
};

Status migrate(AdminTransaction& transaction, InitReport& report) {
  SBOXFS_TRY(transaction.script(kSchema));
  SBOXFS_ASSIGN(auto found, transaction.query("SELECT coalesce(max(version), 0) FROM sboxfs.schema_version"));
  report.schema_from = std::stoi(found.at(0).at(0).value_or("0"));
  report.schema_to = schema::kVersion;
  if (report.schema_from > schema::kVersion) {
    return fail(EPROTO, cat("the schema has version ", report.schema_from, ", this program knows ", schema::kVersion,
                            ": use a newer sboxfs"));
  }
  for (int step = report.schema_from; step < schema::kVersion; ++step) {
    SBOXFS_TRY(transaction.script(schema::migrations().at(static_cast<std::size_t>(step))));
    SBOXFS_TRY(transaction.query("INSERT INTO sboxfs.schema_version (version) VALUES ($1::int)", {cat(step + 1)}).ok()
                   ? Status()
                   : fail(EIO, "the schema's version can not be recorded"));
  }
  return transaction.script("RESET ROLE");
}

std::string joined_settings() {
  std::string out;
  for (const char* setting : kSettings) out += cat(out.empty() ? "{" : ",", setting);
  return out + "}";
}

Status add_tenant(AdminTransaction& transaction, const InitRequest& request, InitReport& report) {
  const std::string role = tenant_role(request.tenant);
  const std::string quoted = transaction.identifier(role);
  SBOXFS_ASSIGN(auto existing, transaction.query("SELECT rolconfig @> $2::text[] FROM pg_roles WHERE rolname = $1",
                                                 {role, joined_settings()}));
  report.tenant_created = existing.empty();
  if (report.tenant_created) {
    SBOXFS_TRY(transaction.script(cat("CREATE ROLE ", quoted, " LOGIN INHERIT IN ROLE sboxfs_t")));
  }
  if (existing.empty() || existing[0][0] != "t") {
    for (const std::string setting : kSettings) {
      const auto equals = setting.find('=');
      SBOXFS_TRY(transaction.script(cat("ALTER ROLE ", quoted, " SET ", setting.substr(0, equals), " = ",
                                        transaction.literal(setting.substr(equals + 1)))));
    }
  }
  if (!request.tenant_password.empty()) {
    SBOXFS_ASSIGN(const std::string verifier, scram_verifier(role, request.tenant_password));
    SBOXFS_TRY(transaction.script(cat("ALTER ROLE ", quoted, " PASSWORD ", transaction.literal(verifier))));
  }
  return {};
}

}  // namespace

Result<InitReport> init_store(const InitRequest& request) {
  SBOXFS_TRY(check_tenant_name(request.tenant));
  SBOXFS_ASSIGN(const auto connection, AdminConnection::connect(request.admin));
  InitReport report;
  const Status done = connection->transaction([&](AdminTransaction& transaction) -> Status {
    SBOXFS_TRY(transaction.script(kLock));
    SBOXFS_TRY(transaction.script(kRoles));
    SBOXFS_TRY(migrate(transaction, report));
    return add_tenant(transaction, request, report);
  });
  if (done.code() == EACCES) {
    return fail(EACCES,
                cat(done.error().what, "; init connects as a role with CREATEROLE, and CREATE on the database"));
  }
  SBOXFS_TRY(done);
  return report;
}

}  // namespace sboxfs
