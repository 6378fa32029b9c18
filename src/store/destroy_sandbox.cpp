#include "query.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kDestroy{"destroy_sandbox", R"sql(
UPDATE sboxfs.sandboxes SET destroyed_at = clock_timestamp(), epoch = epoch + 1, lease_until = NULL, wanted_by = NULL
 WHERE tenant = $1 AND id = $2 AND destroyed_at IS NULL RETURNING epoch)sql"};

}  // namespace

Status destroy_sandbox(PgPool& pool, const std::string& tenant, const SandboxId& id) {
  SBOXFS_ASSIGN(const PgRows rows,
                store_detail::run(pool, kDestroy, store_detail::params_of(tenant, id), {.repeatable = false}));
  if (rows.empty()) return fail(ENOENT, "no such sandbox");
  return {};
}

}  // namespace sboxfs
