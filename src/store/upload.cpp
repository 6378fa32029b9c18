#include <algorithm>

#include "codec.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_sink.hpp"

namespace sboxfs {
namespace {

/// A dedup hit takes the janitor's mark off, which also locks the row against a deletion under way.
constexpr PgStatement kUpload{"upload", R"sql(
INSERT INTO sboxfs.blobs AS b (tenant, hash, size, codec, data)
SELECT $1, n.hash, n.size, n.codec, n.data
  FROM unnest($2::bytea[], $3::integer[], $4::integer[], $5::bytea[]) AS n (hash, size, codec, data)
ON CONFLICT (tenant, hash) DO UPDATE SET dead_since = NULL WHERE b.dead_since IS NOT NULL)sql"};

/// What one statement carries, about.
constexpr std::size_t kStatementBytes = 4U << 20;

struct Row {
  const BlobPut* blob = nullptr;
  store_detail::Packed packed;
  std::string_view stored() const { return packed.codec == 0 ? std::string_view(*blob->data) : packed.bytes; }
};

Status send(const StoreContext& context, const std::vector<Row>& rows) {
  PgParams params;
  params.text(context.tenant)
      .byteas(rows, [](const Row& row) { return row.blob->hash.view(); })
      .int4s(rows, [](const Row& row) { return row.blob->data->size(); })
      .int4s(rows, [](const Row& row) { return row.packed.codec; })
      .byteas(rows, [](const Row& row) { return row.stored(); });
  const auto sent = store_detail::run(*context.pool, kUpload, params);
  return sent.ok() ? Status() : Status(sent.error());
}

}  // namespace

Status PgSink::upload(std::span<const BlobPut> blobs) {
  // In the order of the hashes: two sessions that upload the same blobs then wait for each other, but never in a ring.
  std::vector<const BlobPut*> order;
  for (const BlobPut& blob : blobs) order.push_back(&blob);
  std::sort(order.begin(), order.end(), [](const BlobPut* a, const BlobPut* b) { return a->hash < b->hash; });
  order.erase(
      std::unique(order.begin(), order.end(), [](const BlobPut* a, const BlobPut* b) { return a->hash == b->hash; }),
      order.end());

  std::vector<Row> rows;
  std::size_t bytes = 0;
  for (const BlobPut* blob : order) {
    rows.push_back({blob, store_detail::pack(*blob->data)});
    bytes += rows.back().stored().size();
    if (bytes < kStatementBytes && blob != order.back()) continue;
    SBOXFS_TRY(send(context_, rows));
    rows.clear();
    bytes = 0;
  }
  return {};
}

}  // namespace sboxfs
