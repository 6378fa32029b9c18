#include "query.hpp"
#include "sboxfs/base/hash.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/model/attr.hpp"
#include "sboxfs/model/delta.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kCreate{"create_sandbox", R"sql(
WITH instant AS (SELECT )sql" SBOXFS_NS_OF("clock_timestamp()") R"sql( AS ns),
sandbox AS (
  INSERT INTO sboxfs.sandboxes (tenant, id, name, batch, name_key, quota_blocks, quota_inodes)
  VALUES ($1, $2, $3, $4, $5, $6, $7)),
root AS (
  INSERT INTO sboxfs.inodes (tenant, sandbox, ino, mode, uid, gid, nlink, rdev, flags, size, blocks, atime, mtime, ctime,
                             parent)
  SELECT $1, $2, 1, 16877, $8, $9, 2, 0, 0, 0, 0, ns, ns, ns, 1 FROM instant),  -- 16877: a directory, 0755
lock_root AS (INSERT INTO sboxfs.lock_roots (tenant, sandbox) VALUES ($1, $2))
INSERT INTO sboxfs.changes (tenant, sandbox, version, batch, epoch, session, body) VALUES ($1, $2, 1, $4, 0, $4, $10))sql"};

}  // namespace

Result<SandboxId> create_sandbox(PgPool& pool, const std::string& tenant, const CreateRequest& request) {
  const SandboxId id = Uuid::random();
  NameKey key;
  random_bytes(key.data(), key.size());
  PgParams params = store_detail::params_of(tenant, id);
  params.text(request.name)
      .uuid(Uuid::random())
      .bytea({reinterpret_cast<const char*>(key.data()), key.size()})
      .uint8((request.quota_bytes + kBlockSize - 1) / kBlockSize)
      .uint8(request.quota_inodes)
      .int4(static_cast<std::int32_t>(request.uid))
      .int4(static_cast<std::int32_t>(request.gid))
      .bytea(encode_delta({}));
  // Not repeatable: a second try would find the first one's name taken.
  const auto created = store_detail::run(pool, kCreate, params, {.repeatable = false});
  if (created.code() == EEXIST) return fail(EEXIST, cat("a sandbox named \"", request.name, "\" exists"));
  SBOXFS_TRY(created);
  return id;
}

}  // namespace sboxfs
