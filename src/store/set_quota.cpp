#include "query.hpp"
#include "sboxfs/model/attr.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kQuota{"set_quota", R"sql(
UPDATE sboxfs.sandboxes SET quota_blocks = coalesce($3, quota_blocks), quota_inodes = coalesce($4, quota_inodes)
 WHERE tenant = $1 AND id = $2 AND destroyed_at IS NULL RETURNING id)sql"};

}  // namespace

Status set_quota(PgPool& pool, const std::string& tenant, const SandboxId& id, std::optional<std::uint64_t> bytes,
                 std::optional<std::uint64_t> inodes) {
  PgParams params = store_detail::params_of(tenant, id);
  if (bytes) {
    params.uint8((*bytes + kBlockSize - 1) / kBlockSize);
  } else {
    params.null_int8();
  }
  if (inodes) {
    params.uint8(*inodes);
  } else {
    params.null_int8();
  }
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kQuota, params));
  if (rows.empty()) return fail(ENOENT, "no such sandbox");
  return {};
}

}  // namespace sboxfs
