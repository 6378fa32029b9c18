// The session's own row: open, heartbeat, close.
#include "query.hpp"
#include "sboxfs/store/pg_lease_store.hpp"

namespace sboxfs {
namespace {

/// FOR SHARE waits for a commit under way and then reads the row it left: the stamp is never older than the lock.
constexpr PgStatement kOpen{"open_session", R"sql(
WITH s AS (
  SELECT version, batch FROM sboxfs.sandboxes WHERE tenant = $1 AND id = $2 AND destroyed_at IS NULL FOR SHARE),
opened AS (
  INSERT INTO sboxfs.sessions (tenant, sandbox, session, host, mount_point, seen, alive_until)
  SELECT $1, $2, $3, $4, $5, s.version, clock_timestamp() + )sql" SBOXFS_NS("$6") R"sql( FROM s
  ON CONFLICT (tenant, sandbox, session) DO UPDATE SET
    host = EXCLUDED.host, mount_point = EXCLUDED.mount_point, seen = EXCLUDED.seen, alive_until = EXCLUDED.alive_until)
SELECT version, batch FROM s)sql"};
constexpr PgStatement kKeep{"keep_session", "SELECT sboxfs.keep_session($1, $2, $3, $4, $5, $6)"};
constexpr PgStatement kClose{"close_session", R"sql(
WITH p AS (DELETE FROM sboxfs.pins WHERE tenant = $1 AND sandbox = $2 AND session = $3),
     l AS (DELETE FROM sboxfs.locks WHERE tenant = $1 AND sandbox = $2 AND session = $3),
     h AS (DELETE FROM sboxfs.lock_holders WHERE tenant = $1 AND sandbox = $2 AND session = $3)
DELETE FROM sboxfs.sessions WHERE tenant = $1 AND sandbox = $2 AND session = $3)sql"};

}  // namespace

Result<Stamp> PgLeaseStore::open_session(const std::string& host, const std::string& mount_point,
                                         std::int64_t alive_ns) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).text(host).text(mount_point).int8(alive_ns);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::load(context_, kOpen, params));
  return store_detail::read_stamp(rows);
}

Status PgLeaseStore::keep_session(Version seen, std::span<const Ino> pins, std::int64_t alive_ns) {
  PgParams params = store_detail::params_of(context_);
  params.uuid(context_.session).int8(seen).int8s(pins, [](Ino ino) { return ino; }).int8(alive_ns);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(*context_.pool, kKeep, params));
  if (!rows.boolean(0, 0)) return fail(ESTALE, "the sandbox was destroyed");
  return {};
}

Status PgLeaseStore::close_session() {
  const auto done = store_detail::run(*context_.pool, kClose, store_detail::params_of(context_).uuid(context_.session));
  return done.ok() ? Status() : Status(done.error());
}

}  // namespace sboxfs
