// File locks as values. Source of the rules: fcntl(2) "Advisory record locking", flock(2).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "sboxfs/model/ids.hpp"

namespace sboxfs {

enum class LockKind : std::uint8_t {
  flock = 1,   ///< flock(2): of an open file description
  record = 2,  ///< fcntl(2): of a process, or (OFD) of an open file description
  exec = 3     ///< `sboxfs exec --exclusive`: of the whole sandbox; ino is 0
};

enum class LockType : std::uint8_t { none = 0, shared = 1, exclusive = 2 };

/// The last byte of a range that goes to the end of every file.
constexpr std::uint64_t kLockEnd = 0x7fffffffffffffff;

/// Whose locks on what. Locks of one kind and inode conflict between owners; an owner's own locks replace each other.
/// `owner` is the kernel's number, which means something within one session only.
struct LockTarget {
  Ino ino = 0;
  LockKind kind = LockKind::record;
  std::uint64_t owner = 0;
  bool operator==(const LockTarget&) const = default;
  auto operator<=>(const LockTarget&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// A granted lock on the bytes [start, stop], both included.
struct LockRange {
  std::uint64_t start = 0;
  std::uint64_t stop = kLockEnd;
  bool exclusive = false;
  pid_t pid = 0;  ///< for F_GETLK
  bool operator==(const LockRange&) const = default;
};

/// What an owner holds after `change` (or after unlocking its range, with `type` none): sorted, without overlaps, with
/// neighbours of equal type and process joined.
std::vector<LockRange> lock_ranges_after(const std::vector<LockRange>& before, const LockRange& change, LockType type);

/// Whether some byte that `before` holds exclusively is held less in `after`.
bool lock_weakened(const std::vector<LockRange>& before, const std::vector<LockRange>& after);

/// Whether a lock of `type` on the range can not be granted beside `held` of another owner.
inline bool lock_conflicts(const LockRange& range, LockType type, const LockRange& held) {
  return range.start <= held.stop && held.start <= range.stop && (type == LockType::exclusive || held.exclusive);
}

}  // namespace sboxfs
