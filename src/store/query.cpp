#include "query.hpp"

namespace sboxfs::store_detail {

PgParams params_of(const std::string& tenant, const SandboxId& sandbox) {
  PgParams params;
  params.text(tenant).uuid(sandbox);
  return params;
}

PgParams params_of(const StoreContext& context) { return params_of(context.tenant, context.sandbox); }

Result<PgRows> run(PgPool& pool, const PgStatement& statement, const PgParams& params, PgRun how) {
  PgAnswer answer = pool.run(statement, params, how);
  if (!answer.ok()) return to_error(answer.failure());
  return answer.rows();
}

Result<PgRows> load(const StoreContext& context, const PgStatement& statement, const PgParams& params, PgRun how) {
  SBOXFS_ASSIGN(PgRows rows, run(*context.pool, statement, params, how));
  if (rows.empty()) return fail(ESTALE, "the sandbox was destroyed");
  return rows;
}

Stamp read_stamp(const PgRows& rows, int row, int first) { return {rows.int8(row, first), rows.uuid(row, first + 1)}; }

}  // namespace sboxfs::store_detail
