#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kInode{"inode", "SELECT s.version, s.batch, " SBOXFS_INODE_COLUMNS R"sql(
  FROM sboxfs.sandboxes s
  LEFT JOIN sboxfs.inodes i ON i.tenant = $1 AND i.sandbox = $2 AND i.ino = $3
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL)sql"};

}  // namespace

Result<LoadedInode> PgLoader::inode(Ino ino) {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kInode, store_detail::params_of(context_).uint8(ino)));
  LoadedInode out;
  out.stamp = store_detail::read_stamp(rows);
  if (!rows.is_null(0, 2)) out.inode = store_detail::read_inode(rows, 0, 2);
  return out;
}

}  // namespace sboxfs
