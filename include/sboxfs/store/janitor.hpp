// What nobody can reach any more, deleted in small steps. Every function is one short statement, safe to run by any
// number of daemons at once, and says how many rows it handled: call it until that is 0. Errors and thread rules: as
// store/admin.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/hash.hpp"
#include "sboxfs/base/result.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs {

class PgPool;

/// Deletes up to `limit` orphans (every row of the inode) that no live session can still need: each has seen the
/// version that unlinked it, and none pins it. Returns the number of inodes.
Result<std::uint64_t> delete_orphans(PgPool& pool, const std::string& tenant, unsigned limit);

struct MarkedBlobs {
  std::uint64_t marked = 0;
  std::optional<Hash> next;  ///< where the next step goes on; nothing: all blobs were looked at
};
/// First phase: of `limit` blobs from `from` on, marks those that no chunk names.
Result<MarkedBlobs> mark_dead_blobs(PgPool& pool, const std::string& tenant, const Hash& from, unsigned limit);
/// Second phase: deletes up to `limit` blobs marked for longer than `grace_ns` and still unnamed; takes the mark from
/// those that are named again. Returns how many it handled. A grace shorter than a commit may take breaks writers.
Result<std::uint64_t> delete_dead_blobs(PgPool& pool, const std::string& tenant, unsigned limit,
                                        std::int64_t grace_ns = 3600 * kSecondNs);

/// Deletes change rows that are older than `age_ns` and more than `keep` versions back.
Result<std::uint64_t> delete_old_changes(PgPool& pool, const std::string& tenant, unsigned limit,
                                         std::int64_t age_ns = 3600 * kSecondNs, Version keep = 10'000);

/// Deletes sessions that have been dead for `age_ns`, with their pins and locks.
Result<std::uint64_t> delete_dead_sessions(PgPool& pool, const std::string& tenant, unsigned limit,
                                           std::int64_t age_ns = 60 * kSecondNs);

/// By then a publish that hung in a stopped Redis has ended, one way or the other.
inline constexpr std::int64_t kForgetAgeNs = 60 * kSecondNs;

/// A destroyed sandbox on its way out: erase its key, mark_erased; purge_step until 0; when `age_ns` is kForgetAgeNs or
/// more, erase the key again and, once Redis has answered, forget_sandbox.
struct DestroyedSandbox {
  SandboxId id;
  std::int64_t age_ns = 0;  ///< since destroy
  bool erased = false;      ///< mark_erased was called
};
Result<std::vector<DestroyedSandbox>> destroyed_sandboxes(PgPool& pool, const std::string& tenant, unsigned limit);
/// Redis has acknowledged that the key is gone: the sandbox leaves the outbox.
Status mark_erased(PgPool& pool, const std::string& tenant, const SandboxId& id);
/// Deletes up to about `limit` rows of a destroyed sandbox; a living one is left alone. Returns how many; 0: none left.
Result<std::uint64_t> purge_step(PgPool& pool, const std::string& tenant, const SandboxId& id, unsigned limit);
/// Deletes the sandbox's own row if it was destroyed at least `age_ns` ago, is erased, and nothing else is left of it.
/// Returns whether it is gone.
Result<bool> forget_sandbox(PgPool& pool, const std::string& tenant, const SandboxId& id,
                            std::int64_t age_ns = kForgetAgeNs);

/// What the steps would find now (for `gc --dry-run`). Counts everything: a scan, not a step.
struct GarbageCount {
  std::uint64_t orphans = 0;        ///< deletable now
  std::uint64_t unnamed_blobs = 0;  ///< named by no chunk, marked or not
  std::uint64_t unnamed_bytes = 0;  ///< their stored bytes
  std::uint64_t destroyed_sandboxes = 0;
  std::uint64_t old_changes = 0;
  std::uint64_t dead_sessions = 0;
};
Result<GarbageCount> count_garbage(PgPool& pool, const std::string& tenant);

}  // namespace sboxfs
