#include <algorithm>

#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kFacts{"facts", R"sql(
SELECT version, batch, name_key, quota_blocks, quota_inodes, used_blocks, used_inodes
  FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2 AND destroyed_at IS NULL)sql"};

}  // namespace

Result<SandboxFacts> PgLoader::facts() {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kFacts, store_detail::params_of(context_)));
  SandboxFacts out;
  out.stamp = store_detail::read_stamp(rows);
  const std::string_view key = rows.bytes(0, 2);
  if (key.size() != out.name_key.size()) return fail(EIO, "the sandbox's cookie key has a wrong length");
  std::copy(key.begin(), key.end(), out.name_key.begin());
  out.usage = {rows.uint8(0, 3), rows.uint8(0, 4), rows.uint8(0, 5), rows.uint8(0, 6)};
  return out;
}

}  // namespace sboxfs
