// What the commands ask of the database: set-up, the life of a sandbox, lists, and the numbers `info` shows.
// Every function is one or a few statements, blocks, and may be called from any thread without a Mutex held.
// Errors of every function, beside those it names: EIO the database can not be reached within the I/O time-out or
// answered something unexpected; EACCES it refuses the role or the password (an unknown tenant looks like that too);
// EINTR the calling request was interrupted; EPROTO the schema is not one this program knows. The messages are one
// line, for people, and never hold a password.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/base/result.hpp"
#include "sboxfs/model/ids.hpp"
#include "sboxfs/pg/options.hpp"

namespace sboxfs {

class PgPool;

/// What `sboxfs init` does. `admin` connects as somebody who may create roles (CREATEROLE) and create a schema in the
/// database (CREATE on it): a superuser, or the master user of a managed Postgres.
struct InitRequest {
  PgOptions admin;
  std::string tenant = "default";
  /// The tenant role's password; sent as a SCRAM verifier only. Empty: the role's password stays as it is (none, at
  /// first: for servers that trust or identify their users otherwise).
  std::string tenant_password;
};

struct InitReport {
  int schema_from = 0;  ///< 0: there was none
  int schema_to = 0;
  bool tenant_created = false;
};

/// Brings the schema to the newest version this program knows and creates the tenant with its role; what exists
/// already stays. Safe at any time and on several hosts at once (one transaction under an advisory lock).
/// Errors: EPROTO the schema is newer than this program; EACCES the administrator lacks a privilege (the message
/// names it); EINVAL the tenant's name.
Result<InitReport> init_store(const InitRequest& request);

/// The pool for a tenant's sessions and commands: connects as the tenant's role, once, to check that database, role
/// and schema are there. Errors: EACCES, EPROTO (no schema: run init; or another version), EIO, EINVAL.
Result<std::unique_ptr<PgPool>> open_tenant(PgOptions options, std::string_view tenant);

/// The tenants that exist in the pool's database, sorted.
Result<std::vector<std::string>> list_tenants(PgPool& pool);

struct CreateRequest {
  std::string name;  ///< checked by the caller
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t quota_bytes = 0;   ///< 0: no quota; rounded up to 4 KiB
  std::uint64_t quota_inodes = 0;  ///< 0: no quota
};

/// A new sandbox with an empty root (mode 0755) at version 1. Errors: EEXIST a living sandbox has that name.
Result<SandboxId> create_sandbox(PgPool& pool, const std::string& tenant, const CreateRequest& request);

/// Copies the committed state of `from` into a new sandbox: rows inside the database, blobs shared. Quotas are copied
/// too; orphans, locks and sessions are not. Errors: ENOENT no living `from`; EEXIST the name is taken.
Result<SandboxId> copy_sandbox(PgPool& pool, const std::string& tenant, const SandboxId& from, const std::string& name);

/// The living sandbox with this name, or with this id when it is the text of a UUID. Errors: ENOENT.
Result<SandboxId> find_sandbox(PgPool& pool, const std::string& tenant, const std::string& name_or_id);

/// Marks the sandbox destroyed and takes the right to write from its writer (epoch + 1); the rows are purged later
/// (store/janitor.hpp). Errors: ENOENT no living sandbox with that id.
Status destroy_sandbox(PgPool& pool, const std::string& tenant, const SandboxId& id);

/// New limits; nothing: as it was; 0: none. Errors: ENOENT.
Status set_quota(PgPool& pool, const std::string& tenant, const SandboxId& id, std::optional<std::uint64_t> bytes,
                 std::optional<std::uint64_t> inodes);

/// A live mount.
struct SessionInfo {
  SessionId id;
  std::string host;
  std::string mount_point;
  Version seen = 0;
  std::int64_t alive_left_ns = 0;  ///< until it counts as dead
};

/// A sandbox, as `list` and `info` show it. All of it from one statement's snapshot.
struct SandboxInfo {
  SandboxId id;
  std::string name;
  Stamp stamp;
  Version published_version = 0;
  Epoch epoch = 0;
  std::optional<SessionId> writer;  ///< the lease's holder, while it has not expired
  std::string writer_host;          ///< of the holder's session; empty: none
  std::int64_t lease_left_ns = 0;
  std::uint64_t used_inodes = 0;      ///< the root included
  std::uint64_t used_blocks = 0;      ///< 4 KiB blocks
  std::uint64_t bytes = 0;            ///< the sum of the regular files' lengths; only from sandbox_info()
  std::uint64_t quota_blocks = 0;     ///< 0: none
  std::uint64_t quota_inodes = 0;     ///< 0: none
  std::int64_t created_ns = 0;        ///< since 1970, by the database's clock
  std::uint64_t session_count = 0;    ///< live ones
  std::vector<SessionInfo> sessions;  ///< only from sandbox_info()
};

/// Errors: ENOENT no living sandbox with that id.
Result<SandboxInfo> sandbox_info(PgPool& pool, const std::string& tenant, const SandboxId& id);
/// The tenant's living sandboxes by name.
Result<std::vector<SandboxInfo>> list_sandboxes(PgPool& pool, const std::string& tenant);

/// A sandbox whose newest version Redis may not know, or that was destroyed and whose key may still be there.
struct OutboxItem {
  SandboxId id;
  Stamp stamp;
  Version published_version = 0;
  Epoch epoch = 0;
  bool destroyed = false;
  bool lease_free = false;  ///< nobody holds an unexpired lease: anybody may publish
};

/// Everything pending of the tenant, at most `limit`.
Result<std::vector<OutboxItem>> outbox(PgPool& pool, const std::string& tenant, unsigned limit = 1000);
/// Redis has acknowledged `version` of the sandbox; never lowers, never above the sandbox's version.
Status mark_published(PgPool& pool, const std::string& tenant, const SandboxId& id, Version version);

struct AuditRow {
  SandboxId id;
  Stamp stamp;
  Version published_version = 0;
  Epoch epoch = 0;
  bool destroyed = false;
};

/// The cheap comparison for many sandboxes in one statement; a sandbox that no longer has a row is left out.
Result<std::vector<AuditRow>> audit(PgPool& pool, const std::string& tenant, std::span<const SandboxId> ids);

}  // namespace sboxfs
