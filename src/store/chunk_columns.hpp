// A chunk's columns with its patches.
#pragma once

#include "inode_columns.hpp"

namespace sboxfs::store_detail {

/// Of the alias c and of SBOXFS_CHUNK_PATCHES.
#define SBOXFS_CHUNK_COLUMNS "c.blob, c.mask, p.versions, p.starts, p.datas"
constexpr int kChunkColumns = 5;

/// Joined behind c; $1 tenant, $2 sandbox.
#define SBOXFS_CHUNK_PATCHES                                                                                      \
  "LEFT JOIN LATERAL (SELECT array_agg(version ORDER BY version) AS versions, "                                   \
  "array_agg(start ORDER BY version) AS starts, array_agg(data ORDER BY version) AS datas FROM sboxfs.patches q " \
  "WHERE q.tenant = $1 AND q.sandbox = $2 AND q.ino = c.ino AND q.idx = c.idx) p ON true "

/// From column `first` on; idx is the caller's to fill in.
inline Chunk read_chunk(const PgRows& rows, int row, int first) {
  Chunk out;
  out.blob = read_hash(rows.bytes(row, first));
  out.mask = rows.uint4(row, first + 1);
  const auto versions = rows.int8s(row, first + 2);
  const auto starts = rows.int4s(row, first + 3);
  const auto datas = rows.byteas(row, first + 4);
  for (std::size_t i = 0; i < versions.size() && i < starts.size() && i < datas.size(); ++i) {
    out.patches.push_back({versions[i], static_cast<std::uint32_t>(starts[i]), std::string(datas[i])});
  }
  return out;
}

}  // namespace sboxfs::store_detail
