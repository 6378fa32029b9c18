#include <algorithm>

#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

// The first arm is the sandbox with the directory itself; WITH TIES keeps equal cookies on one page.
constexpr PgStatement kDirectory{"directory",
                                 "SELECT s.version, s.batch, NULL::bigint AS parent, NULL::bigint AS cookie, "
                                 "NULL::bytea AS name, NULL::integer AS type, " SBOXFS_INODE_COLUMNS R"sql(
  FROM sboxfs.sandboxes s
  LEFT JOIN sboxfs.inodes i ON i.tenant = $1 AND i.sandbox = $2 AND i.ino = $3
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL
UNION ALL
SELECT NULL, NULL, )sql" SBOXFS_DIRENT_COLUMNS ", " SBOXFS_INODE_COLUMNS R"sql(
  FROM (SELECT * FROM sboxfs.dirents
         WHERE tenant = $1 AND sandbox = $2 AND parent = $3 AND cookie >= $4
         ORDER BY cookie FETCH FIRST $5 ROWS WITH TIES) d
  )sql" SBOXFS_INODE_OF("d.ino")};

}  // namespace

Result<LoadedDir> PgLoader::directory(Ino dir, std::uint64_t from, std::uint32_t limit) {
  limit = std::max(limit, 1U);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kDirectory,
                                                      store_detail::params_of(context_)
                                                          .uint8(dir)
                                                          .uint8(std::min(from, kLastCookie))
                                                          .int8(static_cast<std::int64_t>(limit))));
  LoadedDir out;
  out.entries.reserve(static_cast<std::size_t>(rows.size()));
  bool found_sandbox = false;
  for (int row = 0; row < rows.size(); ++row) {
    if (!rows.is_null(row, 3)) {
      out.entries.push_back(store_detail::read_entry(rows, row, 2));
      continue;
    }
    found_sandbox = true;
    out.stamp = store_detail::read_stamp(rows, row);
    if (!rows.is_null(row, 6)) out.dir = store_detail::read_inode(rows, row, 6);
  }
  // Rows without the sandbox's: it was destroyed and is being purged.
  if (!found_sandbox) return fail(ESTALE, "the sandbox was destroyed");
  // The plan delivers them in this order already; SQL promises nothing for a union.
  const auto by_cookie = [](const Entry& a, const Entry& b) { return a.dirent.cookie < b.dirent.cookie; };
  if (!std::is_sorted(out.entries.begin(), out.entries.end(), by_cookie)) {
    std::stable_sort(out.entries.begin(), out.entries.end(), by_cookie);
  }
  out.complete_to = out.entries.size() < limit ? kLastCookie : out.entries.back().dirent.cookie;
  return out;
}

}  // namespace sboxfs
