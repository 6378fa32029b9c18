#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kMark{"mark_dead_blobs", R"sql(
WITH page AS (SELECT hash FROM sboxfs.blobs WHERE tenant = $1 AND hash > $2 ORDER BY hash LIMIT $3),
marked AS (
  UPDATE sboxfs.blobs SET dead_since = now()
   WHERE tenant = $1 AND dead_since IS NULL AND hash = ANY (ARRAY(
     SELECT p.hash FROM page p
      WHERE NOT EXISTS (SELECT FROM sboxfs.chunks c WHERE c.tenant = $1 AND c.blob = p.hash OFFSET 0)))
  RETURNING 1)
SELECT (SELECT count(*) FROM marked), (SELECT count(*) FROM page),
       (SELECT hash FROM page ORDER BY hash DESC LIMIT 1))sql"};

// The lock comes before the second look: whoever names the blob again takes the mark off first, and so fails the
// condition when the lock is granted; whoever comes later waits for the deletion and inserts the blob anew.
constexpr PgStatement kDelete{"delete_dead_blobs", R"sql(
WITH marked AS (
  SELECT hash FROM sboxfs.blobs
   WHERE tenant = $1 AND dead_since < now() - )sql" SBOXFS_NS("$3") R"sql(
   ORDER BY dead_since LIMIT $2 FOR UPDATE SKIP LOCKED),
judged AS (
  SELECT hash, EXISTS (SELECT FROM sboxfs.chunks c WHERE c.tenant = $1 AND c.blob = m.hash OFFSET 0) AS named FROM marked m),
spared AS (
  UPDATE sboxfs.blobs SET dead_since = NULL
   WHERE tenant = $1 AND hash = ANY (ARRAY(SELECT hash FROM judged WHERE named)) RETURNING 1),
deleted AS (
  DELETE FROM sboxfs.blobs
   WHERE tenant = $1 AND hash = ANY (ARRAY(SELECT hash FROM judged WHERE NOT named)) RETURNING 1)
SELECT (SELECT count(*) FROM deleted) + (SELECT count(*) FROM spared))sql"};

}  // namespace

Result<MarkedBlobs> mark_dead_blobs(PgPool& pool, const std::string& tenant, const Hash& from, unsigned limit) {
  PgParams params;
  params.text(tenant).bytea(from.view()).int8(limit);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kMark, params));
  MarkedBlobs out;
  out.marked = rows.uint8(0, 0);
  if (rows.uint8(0, 1) == limit && limit > 0) out.next = store_detail::read_hash(rows.bytes(0, 2));
  return out;
}

Result<std::uint64_t> delete_dead_blobs(PgPool& pool, const std::string& tenant, unsigned limit,
                                        std::int64_t grace_ns) {
  PgParams params;
  params.text(tenant).int8(limit).int8(grace_ns);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kDelete, params));
  return rows.uint8(0, 0);
}

}  // namespace sboxfs
