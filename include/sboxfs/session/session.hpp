// One mount of one sandbox: all parts wired together, and the only place that knows the order of start and stop.
//
// Start: connect → session row (its stamp is the first `seen`) → state → watcher subscribed → first refresh → kernel
// mount. Stop: detach the mount → answer what was read → commit what was accepted → publish → release the lease → close
// the session's row. An unmount from outside goes the same way: the process lives until everything is committed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/result.hpp"
#include "sboxfs/model/ids.hpp"
#include "sboxfs/vfs/vfs.hpp"

namespace sboxfs {

struct SessionOptions {
  std::string postgres;  ///< conninfo or URI, for the tenant's role
  std::string redis;     ///< unix:///path or redis://host:port/db
  std::string redis_password;
  bool pooler = false;  ///< no prepared statements (a transaction-pooling PgBouncer is in between)
  std::string tenant = "default";
  SandboxId sandbox;
  std::string name;         ///< the sandbox's name, for messages and the mount table
  std::string mount_point;  ///< absolute
  std::string home;         ///< $SBOXFS_HOME: lost/ is below it

  VfsOptions vfs;
  bool allow_other = false;
  bool dev = false;
  bool suid = false;
  bool noexec = false;
  bool local_lock = false;  ///< file locks hold within this mount only

  std::uint64_t journal_bytes = 64ULL << 20;
  std::uint64_t journal_ops = 100'000;
  std::uint64_t content_cache_bytes = 256ULL << 20;
  std::uint64_t metadata_cache_bytes = 128ULL << 20;

  std::int64_t lease_ns = 10 * kSecondNs;
  std::int64_t audit_interval_ns = 5 * kSecondNs;
  std::int64_t drain_interval_ns = 10 * kSecondNs;
  std::int64_t drain_timeout_ns = 10 * kSecondNs;
  std::int64_t io_timeout_ns = 30 * kSecondNs;
  std::int64_t idle_timeout_ns = 0;  ///< 0: never idle
  bool idle_unmount = false;         ///< with an idle time-out: unmount instead of eviction
};

/// What the process around a session knows about its use. Called from the session's threads.
struct IdleUse {
  std::function<bool()> held;     ///< somebody (an exec) holds the mount: it is in use. May be empty
  std::function<bool()> unmount;  ///< unmounts unless busy or held; whether it did. For idle_unmount
};

struct SessionStatus {
  Stamp seen;
  Version published = 0;
  bool holds_lease = false;
  std::uint64_t journal_bytes = 0;
  std::uint64_t journal_ops = 0;
  std::uint64_t cached_inodes = 0;
  std::uint64_t tree_bytes = 0;
  std::uint64_t content_bytes = 0;
  std::uint64_t open_files = 0;
  bool stale = false;
  bool away = false;                              ///< idle: evicted, without connections, until the next access
  std::uint64_t evictions = 0;                    ///< how often it went so
  std::uint64_t locks = 0;                        ///< held in Postgres
  std::map<std::string, std::uint64_t> requests;  ///< FUSE requests by kind
  std::uint64_t statements = 0;                   ///< sent to Postgres; each was a round trip
};

/// Thread-safe. open() → run() → destruction; the rest may be called from any thread between open() and the end of
/// run().
class Session {
 public:
  /// Connects and mounts; the mount answers as soon as run() serves.
  /// Errors: one clear sentence each, with ENOENT (no such sandbox), ECONNREFUSED (a service can not be reached),
  /// EACCES (a password or role is refused), EBUSY (the mount point), ENOTDIR, EPERM (the host forbids mounting), EIO.
  static Result<std::unique_ptr<Session>> open(const SessionOptions& options);
  ~Session();

  /// Serves until the mount is gone (umount(8), stop, destroy), then commits, publishes and lets everything go.
  /// `serving` is called (from another thread) once the mount answers.
  /// Errors: EIO changes were lost; EAGAIN everything is committed, but Redis could not be told within the drain
  /// time-out (the outbox has it).
  Status run(std::function<void()> serving);
  /// To be called before run().
  void set_idle_use(IdleUse use);
  /// Ends run(): detaches the mount. Returns at once.
  void request_stop();

  /// Everything accepted so far is committed, and published if Redis answers (else it is in the outbox: `*warning`).
  /// EIO also when changes were lost before that no call has told of.
  Status sync(std::string* warning);
  /// How often accepted changes were lost.
  std::uint64_t losses() const;
  /// Sees everything that was committed, and everything the writer had accepted, before the call.
  Status refresh();
  SessionStatus status() const;

  /// The sandbox's exec lock, shared or exclusive, for `sboxfs exec` on this mount: orders execs on all hosts. Waits;
  /// `cancelled` is asked every 50 ms. Returns the number it is let go by. Errors: ETIMEDOUT; EINTR cancelled; EIO.
  Result<std::uint64_t> take_exec_lock(bool exclusive, std::int64_t timeout_ns, const std::function<bool()>& cancelled);
  /// Whether it was taken away (the database was out of reach for too long). Until it is let go this session does not
  /// get the right to write back.
  bool exec_lock_lost(std::uint64_t number) const;
  /// Commits first what others would have to see.
  void release_exec_lock(std::uint64_t number);

 private:
  struct Parts;
  explicit Session(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace sboxfs
