#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kName{"name", "SELECT s.version, s.batch, " SBOXFS_DIRENT_COLUMNS ", " SBOXFS_INODE_COLUMNS R"sql(
  FROM sboxfs.sandboxes s
  LEFT JOIN (sboxfs.dirents d
             )sql" SBOXFS_INODE_OF("d.ino") R"sql()
    ON d.tenant = $1 AND d.sandbox = $2 AND d.parent = $3 AND d.cookie = $4
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL)sql"};

}  // namespace

Result<LoadedName> PgLoader::name(Ino parent, std::uint64_t cookie) {
  SBOXFS_ASSIGN(const PgRows rows,
                store_detail::load(context_, kName, store_detail::params_of(context_).uint8(parent).uint8(cookie)));
  LoadedName out;
  out.stamp = store_detail::read_stamp(rows);
  for (int row = 0; row < rows.size(); ++row) {
    if (!rows.is_null(row, 2)) out.entries.push_back(store_detail::read_entry(rows, row, 2));
  }
  return out;
}

}  // namespace sboxfs
