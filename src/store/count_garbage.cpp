#include "query.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kCount{"count_garbage", R"sql(
SELECT (SELECT count(*) FROM sboxfs.orphans o
         WHERE o.tenant = $1 AND sboxfs.orphan_is_free($1, o.sandbox, o.ino, o.unlinked_version)),
       b.number, b.bytes,
       (SELECT count(*) FROM sboxfs.sandboxes WHERE tenant = $1 AND destroyed_at IS NOT NULL),
       (SELECT count(*) FROM sboxfs.sandboxes s JOIN sboxfs.changes c ON c.tenant = $1 AND c.sandbox = s.id
         WHERE s.tenant = $1 AND c.version < s.version - 10000 AND c.committed_at < now() - interval '1 hour'),
       (SELECT count(*) FROM sboxfs.sessions WHERE tenant = $1 AND alive_until < now() - interval '1 minute')
  FROM (SELECT count(*) AS number, coalesce(sum(octet_length(data)), 0)::bigint AS bytes FROM sboxfs.blobs b
         WHERE b.tenant = $1
           AND NOT EXISTS (SELECT FROM sboxfs.chunks c WHERE c.tenant = $1 AND c.blob = b.hash OFFSET 0)) b)sql"};

}  // namespace

Result<GarbageCount> count_garbage(PgPool& pool, const std::string& tenant) {
  PgParams params;
  params.text(tenant);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kCount, params));
  return GarbageCount{rows.uint8(0, 0), rows.uint8(0, 1), rows.uint8(0, 2),
                      rows.uint8(0, 3), rows.uint8(0, 4), rows.uint8(0, 5)};
}

}  // namespace sboxfs
