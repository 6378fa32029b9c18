#include <map>

#include "inode_columns.hpp"
#include "query.hpp"
#include "sboxfs/store/pg_loader.hpp"

namespace sboxfs {
namespace {

// Three arms: the stamp; the directories themselves (no cookie); their entries, directory by directory in the order
// asked, each up to one more than allowed, all up to one more than allowed: so the reader knows what was cut.
constexpr PgStatement kDirectories{
    "directories",
    "SELECT s.version, s.batch, NULL::bigint AS parent, NULL::bigint AS cookie, NULL::bytea AS name, "
    "NULL::integer AS type, " SBOXFS_INODE_COLUMNS R"sql(
  FROM sboxfs.sandboxes s
  LEFT JOIN sboxfs.inodes i ON false
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL
UNION ALL
SELECT NULL, NULL, i.ino, NULL, NULL, NULL, )sql" SBOXFS_INODE_COLUMNS R"sql(
  FROM unnest($3::bigint[]) AS u (ino)
  )sql" SBOXFS_INODE_OF("u.ino") R"sql(
UNION ALL
(SELECT NULL, NULL, )sql" SBOXFS_DIRENT_COLUMNS ", " SBOXFS_INODE_COLUMNS R"sql(
  FROM unnest($3::bigint[]) AS u (ino)
  CROSS JOIN LATERAL (SELECT * FROM sboxfs.dirents e
                       WHERE e.tenant = $1 AND e.sandbox = $2 AND e.parent = u.ino
                       ORDER BY e.cookie LIMIT $4 + 1) d
  )sql" SBOXFS_INODE_OF("d.ino") R"sql(
 LIMIT $5 + 1))sql"};

}  // namespace

Result<LoadedTree> PgLoader::directories(std::span<const Ino> dirs, std::uint32_t dir_limit, std::uint32_t limit) {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kDirectories,
                                                      store_detail::params_of(context_)
                                                          .int8s(dirs, [](Ino ino) { return ino; })
                                                          .int8(static_cast<std::int64_t>(dir_limit))
                                                          .int8(static_cast<std::int64_t>(limit))));
  LoadedTree out;
  std::map<Ino, LoadedDir> found;
  bool found_sandbox = false;
  std::uint64_t entries = 0;
  Ino last = 0;  // the directory whose entries came last
  for (int row = 0; row < rows.size(); ++row) {
    if (rows.is_null(row, 2)) {
      found_sandbox = true;
      out.stamp = store_detail::read_stamp(rows, row);
    } else if (rows.is_null(row, 3)) {
      found[rows.uint8(row, 2)].dir = store_detail::read_inode(rows, row, 6);
    } else {
      last = rows.uint8(row, 2);
      ++entries;
      found[last].entries.push_back(store_detail::read_entry(rows, row, 2));
    }
  }
  if (!found_sandbox) return fail(ESTALE, "the sandbox was destroyed");

  const bool cut = entries > limit;
  for (Ino ino : dirs) {
    if (cut && ino == last) break;  // it, and what follows it, did not fit
    const auto at = found.find(ino);
    if (at == found.end() || !at->second.dir || at->second.entries.size() > dir_limit) continue;
    at->second.complete_to = kLastCookie;
    out.dirs.push_back(std::move(at->second));
    found.erase(at);
  }
  return out;
}

}  // namespace sboxfs
