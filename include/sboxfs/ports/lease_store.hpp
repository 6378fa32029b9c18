// The lease's row and the session's row in the database. Implemented by store and by the tests' fakes.
// Errors and thread rules: as ports/loader.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "sboxfs/model/ids.hpp"

namespace sboxfs {

struct LeaseGrant {
  Epoch epoch = 0;
  Stamp stamp;                  ///< the sandbox's version: adopt it before the first change
  std::uint64_t inos_from = 0;  ///< inode numbers [inos_from, inos_from + inos_count) are this session's
  std::uint64_t inos_count = 0;
  std::int64_t database_wall_ns = 0;  ///< the database's clock_timestamp()
  Version published_version = 0;
};

/// What the lease's row said.
struct LeaseState {
  std::optional<SessionId> writer;  ///< who holds it, if it has not expired
  std::optional<SessionId> wanted_by;
  Epoch epoch = 0;
  Stamp stamp;
  Version published_version = 0;
  bool destroyed = false;
  std::int64_t left_ns = 0;  ///< until it expires, by the database's clock
  std::int64_t database_wall_ns = 0;
};

struct LeaseAnswer {
  std::optional<LeaseGrant> grant;  ///< nothing: somebody else holds it; `state` says who, and wanted_by is set to us
  LeaseState state;
};

class LeaseStore {
 public:
  virtual ~LeaseStore() = default;
  /// Takes the lease if it is free, expired or already ours (then the epoch stays), for `lease_ns`; else records that
  /// this session wants it, unless another one that is alive asked before. `dead_holder`: the kernel's lock proved
  /// that this session on our host has died, so its lease counts as expired.
  virtual Result<LeaseAnswer> acquire(std::int64_t lease_ns, const std::optional<SessionId>& dead_holder) = 0;
  /// Renews it if `epoch` is still ours; ESTALE when it is not.
  virtual Result<LeaseState> renew(Epoch epoch, std::int64_t lease_ns) = 0;
  /// Gives it up if `epoch` is still ours (else nothing happens).
  virtual Status release(Epoch epoch) = 0;
  /// Reads the row.
  virtual Result<LeaseState> look() = 0;

  /// Writes the session's row (host, mount point), alive for `alive_ns`, under FOR SHARE on the sandbox's row.
  /// Returns the sandbox's stamp at that moment: the session's first `seen`.
  virtual Result<Stamp> open_session(const std::string& host, const std::string& mount_point,
                                     std::int64_t alive_ns) = 0;
  /// Heartbeat: what the session has seen, and the orphans it holds open (pins are written before `seen`).
  /// ESTALE: the session was declared dead (its row is gone).
  virtual Status keep_session(Version seen, std::span<const Ino> pins, std::int64_t alive_ns) = 0;
  /// Deletes the session's row and pins.
  virtual Status close_session() = 0;
};

}  // namespace sboxfs
