// The locks of one sandbox, as one session asks for them. Implemented by store (Postgres) and by the tests' fakes.
// Errors of every function: ESTALE the sandbox was destroyed; EIO the database can not be reached or answered something
// unexpected, EINTR the calling request was interrupted: then the call may or may not have been carried out.
// Thread rules: as ports/loader.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sboxfs/model/lock.hpp"

namespace sboxfs {

/// What a session holds is leased: once `lease_ns` has passed without a call, whoever is kept waiting by it may take
/// all of it away, the right to write included. `incarnation` counts how often that has happened to this session.
struct LockTerms {
  std::int64_t incarnation = 1;
  bool holds = false;  ///< something was granted under this incarnation: without its row it has been taken away
  std::int64_t lease_ns = 0;
  /// Counts the session's calls of set(). One that was given up may still arrive: a `fence` refuses (`late`) whatever
  /// has a lower number and comes behind this call.
  std::int64_t call = 0;
  std::int64_t fence = 0;
};

struct LockRequest {
  LockTarget target;
  LockRange range;
  LockType type = LockType::none;  ///< none: let the range go (of the owner's waiting requests, too)
  /// All that the owner holds of the inode once the request is granted (lock_ranges_after()).
  std::vector<LockRange> after;
  bool wait = false;  ///< in conflict, leave word that it waits
  /// With `wait`, > 0: whoever has waited for so long, longer than this one, and could be granted goes first.
  std::int64_t polite_ns = 0;
  bool dirty = false;             ///< what was written under the lock is not committed yet
  std::optional<SessionId> dead;  ///< the kernel proved that this session on our host has died
};

/// One lock that is held.
struct LockClaim {
  LockTarget target;
  LockRange range;
};

/// A lock in the way.
struct LockConflict {
  SessionId session;
  std::uint64_t owner = 0;
  LockRange range;
};

enum class LockOutcome {
  done,
  conflict,      ///< not granted; an flock that was to be converted is gone (flock(2)); the rest stays as it was
  deadlock,      ///< of records only: the owner would wait for itself
  lost,          ///< what this incarnation held was taken away; nothing else has happened
  commit_first,  ///< `dirty`, and another session is alive that might be granted the lock; nothing has happened
  turn,          ///< free, but somebody else waits for it longer (`polite_ns` only)
  restarted,     ///< the database has restarted and may have forgotten: claim() first; nothing has happened
  settling,      ///< it has restarted, and the session in `conflict` has not said yet what it holds: nothing is granted
  late           ///< a fence came first: to be made anew under a new number; nothing has happened
};

struct LockAnswer {
  LockOutcome outcome = LockOutcome::done;
  std::optional<LockConflict> conflict;
  bool wakes = false;  ///< somebody waits for this inode and may be granted now

  // The sandbox at that moment, for the refresh that follows a grant.
  std::optional<SessionId> writer;  ///< who holds the unexpired right to write
  Stamp stamp;
};

class LockStore {
 public:
  virtual ~LockStore() = default;
  /// Grants, changes or lets go, and renews what the session holds; all of it at once, in an order with everybody
  /// else's calls.
  virtual Result<LockAnswer> set(const LockRequest& request, const LockTerms& terms) = 0;
  /// Any lock of another owner that a request would wait for.
  virtual Result<std::optional<LockConflict>> test(const LockTarget& target, const LockRange& range, LockType type) = 0;
  /// Renews what the session holds: done, lost, or restarted.
  virtual Result<LockOutcome> keep(const LockTerms& terms) = 0;
  /// After `restarted`: this and nothing else is what the session holds. done, or lost.
  virtual Result<LockOutcome> claim(const std::vector<LockClaim>& held, const LockTerms& terms) = 0;
};

}  // namespace sboxfs
