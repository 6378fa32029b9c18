#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kXattrs{"xattrs", R"sql(
SELECT s.version, s.batch, x.name, x.value
  FROM sboxfs.sandboxes s
  LEFT JOIN sboxfs.xattrs x ON x.tenant = $1 AND x.sandbox = $2 AND x.ino = $3
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL
 ORDER BY x.name)sql"};

}  // namespace

Result<LoadedXattrs> PgLoader::xattrs(Ino ino) {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kXattrs, store_detail::params_of(context_).uint8(ino)));
  LoadedXattrs out;
  out.stamp = store_detail::read_stamp(rows);
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.is_null(row, 2)) continue;
    out.xattrs.push_back({std::string(rows.bytes(row, 2)), std::string(rows.bytes(row, 3))});
  }
  return out;
}

}  // namespace sboxfs
