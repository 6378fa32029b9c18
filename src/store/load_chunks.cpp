#include <algorithm>

#include "chunk_columns.hpp"
#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

// The first row of every answer carries the stamp and the inode's ranges; the chunk's columns may be NULL in it.
constexpr PgStatement kChunks{"chunks",
                              "SELECT s.version, s.batch, r.starts, r.stops, NOT EXISTS (SELECT FROM sboxfs.inodes "
                              "WHERE tenant = $1 AND sandbox = $2 AND ino = $3), c.idx, " SBOXFS_CHUNK_COLUMNS R"sql(
  FROM sboxfs.sandboxes s
 CROSS JOIN LATERAL (SELECT array_agg(start ORDER BY start) AS starts, array_agg(stop ORDER BY start) AS stops
                       FROM sboxfs.ranges WHERE tenant = $1 AND sandbox = $2 AND ino = $3) r
  LEFT JOIN LATERAL (SELECT * FROM sboxfs.chunks
                      WHERE tenant = $1 AND sandbox = $2 AND ino = $3 AND idx >= $4
                      ORDER BY idx LIMIT $5) c ON true
  )sql" SBOXFS_CHUNK_PATCHES R"sql(
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL
 ORDER BY c.idx)sql"};

}  // namespace

Result<LoadedChunks> PgLoader::chunks(Ino ino, std::uint32_t first, std::uint32_t limit) {
  SBOXFS_ASSIGN(const PgRows rows,
                store_detail::load(
                    context_, kChunks,
                    store_detail::params_of(context_).uint8(ino).int8(static_cast<std::int64_t>(first)).int8(limit)));
  LoadedChunks out;
  out.stamp = store_detail::read_stamp(rows);
  out.gone = rows.boolean(0, 4);
  const auto starts = rows.int8s(0, 2);
  const auto stops = rows.int8s(0, 3);
  for (std::size_t i = 0; i < std::min(starts.size(), stops.size()); ++i) {
    out.ranges.push_back({static_cast<std::uint64_t>(starts[i]), static_cast<std::uint64_t>(stops[i])});
  }
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.is_null(row, 5)) continue;
    Chunk chunk = store_detail::read_chunk(rows, row, 6);
    chunk.idx = rows.uint4(row, 5);
    out.chunks.push_back(std::move(chunk));
  }
  out.end = out.chunks.size() < limit ? kChunksAtMost : out.chunks.back().idx + 1;
  return out;
}

}  // namespace sboxfs
