#include "query.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/model/delta.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kBegin{"begin", "BEGIN"};
constexpr PgStatement kNoTimeout{"no_timeout", "SET LOCAL statement_timeout = 0"};
constexpr PgStatement kCommit{"commit_copy", "COMMIT"};
constexpr PgStatement kRollback{"rollback", "ROLLBACK"};

/// One statement, so one snapshot of the source. The copy goes on at the source's version: its patches carry versions,
/// and new ones must come after them.
constexpr PgStatement kCopy{"copy_sandbox", R"sql(
WITH source AS (
  SELECT * FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2 AND destroyed_at IS NULL),
sandbox AS (
  INSERT INTO sboxfs.sandboxes (tenant, id, name, version, batch, next_ino, name_key, quota_blocks, quota_inodes,
                                used_blocks, used_inodes)
  SELECT $1, $3, $4, version, $5, next_ino, name_key, quota_blocks, quota_inodes, used_blocks, used_inodes FROM source
  RETURNING version),
change AS (
  INSERT INTO sboxfs.changes (tenant, sandbox, version, batch, epoch, session, body)
  SELECT $1, $3, version, $5, 0, $5, $6 FROM source),
lock_root AS (INSERT INTO sboxfs.lock_roots (tenant, sandbox) SELECT $1, $3 FROM source),
inodes AS (
  INSERT INTO sboxfs.inodes (tenant, sandbox, ino, mode, uid, gid, nlink, rdev, flags, size, blocks, atime, mtime, ctime,
                             parent, target)
  SELECT $1, $3, i.ino, i.mode, i.uid, i.gid, i.nlink, i.rdev, i.flags, i.size, i.blocks, i.atime, i.mtime, i.ctime,
         i.parent, i.target
    FROM source, sboxfs.inodes i
   WHERE i.tenant = $1 AND i.sandbox = $2
     AND NOT EXISTS (SELECT FROM sboxfs.orphans o WHERE o.tenant = $1 AND o.sandbox = $2 AND o.ino = i.ino OFFSET 0)),
dirents AS (
  INSERT INTO sboxfs.dirents (tenant, sandbox, parent, cookie, name, ino, type)
  SELECT $1, $3, d.parent, d.cookie, d.name, d.ino, d.type FROM source, sboxfs.dirents d
   WHERE d.tenant = $1 AND d.sandbox = $2),
chunks AS (
  INSERT INTO sboxfs.chunks (tenant, sandbox, ino, idx, mask, blob)
  SELECT $1, $3, c.ino, c.idx, c.mask, c.blob FROM source, sboxfs.chunks c
   WHERE c.tenant = $1 AND c.sandbox = $2
     AND NOT EXISTS (SELECT FROM sboxfs.orphans o WHERE o.tenant = $1 AND o.sandbox = $2 AND o.ino = c.ino OFFSET 0)),
patches AS (
  INSERT INTO sboxfs.patches (tenant, sandbox, ino, idx, version, start, data)
  SELECT $1, $3, p.ino, p.idx, p.version, p.start, p.data FROM source, sboxfs.patches p
   WHERE p.tenant = $1 AND p.sandbox = $2
     AND NOT EXISTS (SELECT FROM sboxfs.orphans o WHERE o.tenant = $1 AND o.sandbox = $2 AND o.ino = p.ino OFFSET 0)),
ranges AS (
  INSERT INTO sboxfs.ranges (tenant, sandbox, ino, start, stop)
  SELECT $1, $3, r.ino, r.start, r.stop FROM source, sboxfs.ranges r WHERE r.tenant = $1 AND r.sandbox = $2
     AND NOT EXISTS (SELECT FROM sboxfs.orphans o WHERE o.tenant = $1 AND o.sandbox = $2 AND o.ino = r.ino OFFSET 0)),
xattrs AS (
  INSERT INTO sboxfs.xattrs (tenant, sandbox, ino, name, value)
  SELECT $1, $3, x.ino, x.name, x.value FROM source, sboxfs.xattrs x WHERE x.tenant = $1 AND x.sandbox = $2
     AND NOT EXISTS (SELECT FROM sboxfs.orphans o WHERE o.tenant = $1 AND o.sandbox = $2 AND o.ino = x.ino OFFSET 0))
SELECT version FROM sandbox)sql"};

/// A million files take some ten seconds; the role's time-outs and the pool's are meant for short statements.
constexpr std::int64_t kLongest = 3600 * kSecondNs;

Result<PgRows> step(const PgPool::Loan& loan, const PgStatement& statement, const PgParams& params,
                    std::int64_t deadline) {
  PgAnswer answer = loan->run(statement, params, deadline);
  if (!answer.ok()) return to_error(answer.failure());
  return answer.rows();
}

}  // namespace

Result<SandboxId> copy_sandbox(PgPool& pool, const std::string& tenant, const SandboxId& from,
                               const std::string& name) {
  const std::int64_t deadline = pool.deadline(kLongest);
  auto acquired = pool.acquire(pool.deadline());
  if (const auto* failure = std::get_if<PgFailure>(&acquired)) return to_error(*failure);
  const PgPool::Loan& loan = *std::get_if<PgPool::Loan>(&acquired);

  const SandboxId id = Uuid::random();
  PgParams params = store_detail::params_of(tenant, from);
  params.uuid(id).text(name).uuid(Uuid::random()).bytea(encode_delta({}));
  SBOXFS_TRY(step(loan, kBegin, {}, deadline));
  SBOXFS_TRY(step(loan, kNoTimeout, {}, deadline));
  const auto copied = step(loan, kCopy, params, deadline);
  if (!copied.ok() || copied.value().empty()) {
    // A connection that can not roll back is broken, and thrown away with its transaction.
    if (!loan->broken()) SBOXFS_TRY(step(loan, kRollback, {}, pool.deadline()));
    if (copied.code() == EEXIST) return fail(EEXIST, cat("a sandbox named \"", name, "\" exists"));
    SBOXFS_TRY(copied);
    return fail(ENOENT, "no such sandbox to copy from");
  }
  SBOXFS_TRY(step(loan, kCommit, {}, deadline));
  return id;
}

}  // namespace sboxfs
