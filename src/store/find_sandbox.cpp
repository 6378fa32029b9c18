#include "query.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kFind{"find_sandbox", R"sql(
SELECT id FROM sboxfs.sandboxes WHERE tenant = $1 AND name = $2 AND destroyed_at IS NULL)sql"};
constexpr PgStatement kFindId{"find_sandbox_id", R"sql(
SELECT id FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2 AND destroyed_at IS NULL)sql"};

}  // namespace

Result<SandboxId> find_sandbox(PgPool& pool, const std::string& tenant, const std::string& name_or_id) {
  const auto id = Uuid::parse(name_or_id);
  PgParams params;
  params.text(tenant);
  if (id.ok()) {
    params.uuid(id.value());
  } else {
    params.text(name_or_id);
  }
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, id.ok() ? kFindId : kFind, params));
  if (rows.empty()) return fail(ENOENT, cat("no sandbox \"", name_or_id, "\""));
  return rows.uuid(0, 0);
}

}  // namespace sboxfs
