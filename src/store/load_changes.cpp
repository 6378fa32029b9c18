#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

// Who is further behind loads anew: that is less than so many deltas may be, and they would come in one piece.
constexpr PgStatement kChanges{"changes", R"sql(
SELECT s.version, s.batch, s.epoch, s.destroyed_at IS NOT NULL,
       c.version, c.batch, c.epoch, c.session, CASE WHEN c.version > $3 THEN c.body END
  FROM sboxfs.sandboxes s
  LEFT JOIN sboxfs.changes c
    ON c.tenant = $1 AND c.sandbox = $2 AND c.version >= $3 AND c.version <= s.version
   AND s.version - $3 <= 1000
 WHERE s.tenant = $1 AND s.id = $2
 ORDER BY c.version)sql"};

}  // namespace

Result<LoadedChanges> PgLoader::changes(Version after) {
  SBOXFS_ASSIGN(const PgRows rows,
                store_detail::load(context_, kChanges, store_detail::params_of(context_).int8(after)));
  LoadedChanges out;
  out.current = store_detail::read_stamp(rows);
  out.epoch = rows.int8(0, 2);
  out.destroyed = rows.boolean(0, 3);
  Version expected = after;
  for (int row = 0; row < rows.size(); ++row) {
    // A gap can only stand where old rows were deleted: the base is one of them.
    if (rows.is_null(row, 4) || rows.int8(row, 4) != expected) break;
    if (expected == after) {
      out.base = rows.uuid(row, 5);
    } else {
      SBOXFS_ASSIGN(Delta delta, decode_delta(rows.bytes(row, 8)));
      out.changes.push_back(
          {store_detail::read_stamp(rows, row, 4), rows.int8(row, 6), rows.uuid(row, 7), std::move(delta)});
    }
    ++expected;
  }
  if (out.base && expected != out.current.version + 1) {
    out.base.reset();
    out.changes.clear();
  }
  return out;
}

}  // namespace sboxfs
