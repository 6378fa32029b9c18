#include <algorithm>

#include "chunk_columns.hpp"
#include "codec.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

// The running sum is of lengths alone: the bytes of what does not fit are never fetched out of their TOAST table.
constexpr PgStatement kContents{
    "contents",
    "SELECT s.version, s.batch, NULL::bigint AS ino, NULL::bytea AS blob, NULL::integer AS mask, "
    "NULL::bigint[] AS versions, NULL::integer[] AS starts, NULL::bytea[] AS datas, "
    "NULL::integer AS codec, NULL::integer AS size, NULL::bytea AS data"
    R"sql(
  FROM sboxfs.sandboxes s WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL
UNION ALL
(SELECT NULL, NULL, c.ino, )sql" SBOXFS_CHUNK_COLUMNS R"sql(, c.codec, c.size, c.data
  FROM (SELECT u.position, k.ino, k.idx, k.blob, k.mask, b.codec, b.size, b.data,
               sum(coalesce(b.size, 0)) OVER (ORDER BY u.position) AS total
          FROM unnest($3::bigint[]) WITH ORDINALITY AS u (ino, position)
         CROSS JOIN LATERAL (SELECT * FROM sboxfs.chunks n
                              WHERE n.tenant = $1 AND n.sandbox = $2 AND n.ino = u.ino AND n.idx = 0 OFFSET 0) k
          LEFT JOIN LATERAL (SELECT * FROM sboxfs.blobs n WHERE n.tenant = $1 AND n.hash = k.blob OFFSET 0) b ON true) c
  )sql" SBOXFS_CHUNK_PATCHES R"sql(
 WHERE c.total <= $4
 ORDER BY c.position))sql"};

}  // namespace

Result<LoadedContents> PgLoader::contents(std::span<const Ino> files, std::uint64_t max_bytes) {
  constexpr std::uint64_t kAll = std::uint64_t{1} << 62;
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kContents,
                                                      store_detail::params_of(context_)
                                                          .int8s(files, [](Ino ino) { return ino; })
                                                          .uint8(std::min(max_bytes, kAll))));
  LoadedContents out;
  bool found_sandbox = false;
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.is_null(row, 2)) {
      found_sandbox = true;
      out.stamp = store_detail::read_stamp(rows, row);
      continue;
    }
    SmallFile file{rows.uint8(row, 2), store_detail::read_chunk(rows, row, 3), {}};
    if (!file.chunk.blob.empty()) {
      if (rows.is_null(row, 8)) continue;  // its blob is missing: the one who reads the file shall hear of it
      SBOXFS_ASSIGN(file.data, store_detail::unpack(rows.int4(row, 8), rows.bytes(row, 10), rows.uint4(row, 9)));
    }
    out.files.push_back(std::move(file));
  }
  if (!found_sandbox) return fail(ESTALE, "the sandbox was destroyed");
  return out;
}

}  // namespace sboxfs
