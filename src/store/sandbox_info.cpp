#include <algorithm>

#include "query.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

#define SBOXFS_INFO_COLUMNS \
  "s.id, s.name, s.version, s.batch, s.published_version, s.epoch, "                                             \
  "CASE WHEN s.lease_until > now() THEN s.writer END, "                                                          \
  "(SELECT e.host FROM sboxfs.sessions e WHERE e.tenant = $1 AND e.sandbox = s.id AND e.session = s.writer), "   \
  SBOXFS_NS_OF("s.lease_until - now()") ", s.used_inodes, s.used_blocks, s.quota_blocks, s.quota_inodes, "       \
  SBOXFS_NS_OF("s.created_at")

constexpr PgStatement kList{"list_sandboxes", "SELECT " SBOXFS_INFO_COLUMNS R"sql(,
       (SELECT count(*) FROM sboxfs.sessions e
         WHERE e.tenant = $1 AND e.sandbox = s.id AND e.alive_until > now())
  FROM sboxfs.sandboxes s WHERE s.tenant = $1 AND s.destroyed_at IS NULL ORDER BY s.name)sql"};
constexpr PgStatement kInfo{"sandbox_info", "SELECT " SBOXFS_INFO_COLUMNS R"sql(,
       coalesce(cardinality(e.ids), 0)::bigint, e.ids, e.hosts, e.mounts, e.seen, e.lefts,
       (SELECT coalesce(sum(i.size), 0)::bigint FROM sboxfs.inodes i
         WHERE i.tenant = $1 AND i.sandbox = $2 AND i.nlink > 0 AND i.mode & 61440 = 32768)  -- regular files
  FROM sboxfs.sandboxes s
 CROSS JOIN LATERAL (
       SELECT array_agg(session ORDER BY opened_at) AS ids, array_agg(host ORDER BY opened_at) AS hosts,
              array_agg(mount_point ORDER BY opened_at) AS mounts, array_agg(seen ORDER BY opened_at) AS seen,
              array_agg()sql" SBOXFS_NS_OF("alive_until - now()") R"sql( ORDER BY opened_at) AS lefts
         FROM sboxfs.sessions WHERE tenant = $1 AND sandbox = $2 AND alive_until > now()) e
 WHERE s.tenant = $1 AND s.id = $2 AND s.destroyed_at IS NULL)sql"};
constexpr int kSessionCount = 14;  // the first column behind SBOXFS_INFO_COLUMNS

SandboxInfo read_info(const PgRows& rows, int row) {
  SandboxInfo out;
  out.id = rows.uuid(row, 0);
  out.name = rows.bytes(row, 1);
  out.stamp = store_detail::read_stamp(rows, row, 2);
  out.published_version = rows.int8(row, 4);
  out.epoch = rows.int8(row, 5);
  if (!rows.is_null(row, 6)) {
    out.writer = rows.uuid(row, 6);
    out.writer_host = rows.bytes(row, 7);
    out.lease_left_ns = rows.int8(row, 8);
  }
  out.used_inodes = rows.uint8(row, 9);
  out.used_blocks = rows.uint8(row, 10);
  out.quota_blocks = rows.uint8(row, 11);
  out.quota_inodes = rows.uint8(row, 12);
  out.created_ns = rows.int8(row, 13);
  out.session_count = rows.uint8(row, kSessionCount);
  return out;
}

}  // namespace

Result<SandboxInfo> sandbox_info(PgPool& pool, const std::string& tenant, const SandboxId& id) {
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kInfo, store_detail::params_of(tenant, id)));
  if (rows.empty()) return fail(ENOENT, "no such sandbox");
  SandboxInfo out = read_info(rows, 0);
  const auto ids = rows.byteas(0, kSessionCount + 1);
  const auto hosts = rows.byteas(0, kSessionCount + 2);
  const auto mounts = rows.byteas(0, kSessionCount + 3);
  const auto seen = rows.int8s(0, kSessionCount + 4);
  const auto lefts = rows.int8s(0, kSessionCount + 5);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    SessionInfo session;
    std::copy_n(ids[i].begin(), std::min(ids[i].size(), session.id.bytes.size()), session.id.bytes.begin());
    session.host = hosts.at(i);
    session.mount_point = mounts.at(i);
    session.seen = seen.at(i);
    session.alive_left_ns = lefts.at(i);
    out.sessions.push_back(std::move(session));
  }
  out.bytes = rows.uint8(0, kSessionCount + 6);
  return out;
}

Result<std::vector<SandboxInfo>> list_sandboxes(PgPool& pool, const std::string& tenant) {
  PgParams params;
  params.text(tenant);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kList, params));
  std::vector<SandboxInfo> out;
  out.reserve(static_cast<std::size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) out.push_back(read_info(rows, row));
  return out;
}

}  // namespace sboxfs
