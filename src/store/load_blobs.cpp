#include "codec.hpp"
#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kBlobs{"blobs", R"sql(
SELECT u.position, b.codec, b.size, b.data
  FROM unnest($2::bytea[]) WITH ORDINALITY AS u (hash, position)
 CROSS JOIN LATERAL (SELECT * FROM sboxfs.blobs n WHERE n.tenant = $1 AND n.hash = u.hash OFFSET 0) b)sql"};

}  // namespace

Result<std::vector<std::string>> PgLoader::blobs(std::span<const Hash> hashes) {
  std::vector<std::string> out(hashes.size());
  if (hashes.empty()) return out;
  PgParams params;
  params.text(context_.tenant).byteas(hashes, [](const Hash& hash) { return hash.view(); });
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(*context_.pool, kBlobs, params));
  std::vector<bool> found(hashes.size());
  for (int row = 0; row < rows.size(); ++row) {
    const std::uint64_t position = rows.uint8(row, 0) - 1;
    if (position >= out.size()) return fail(EIO, "Postgres answered a blob that nobody asked for");
    SBOXFS_ASSIGN(out[position], store_detail::unpack(rows.int4(row, 1), rows.bytes(row, 3), rows.uint4(row, 2)));
    found[position] = true;
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) return fail(EIO, cat("blob ", to_hex(hashes[i].view()), " is missing"));
  }
  return out;
}

}  // namespace sboxfs
