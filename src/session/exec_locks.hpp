// The exec locks of one session: `sboxfs exec --exclusive` and `--read-only` order the execs of a sandbox on all hosts.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/locks/locks.hpp"

namespace sboxfs {

/// Thread-safe. A lock that was taken away stays known as lost until it is released: until then the session does not
/// get the right to write back, so that the command it was taken for can not write without it.
class ExecLocks {
 public:
  explicit ExecLocks(Locks& locks) : locks_(locks) {}

  /// Waits for it. Returns the number it is released by. Errors: ETIMEDOUT; EINTR `cancelled` said so (asked every
  /// 50 ms); as Locks::set.
  Result<std::uint64_t> take(bool exclusive, std::int64_t timeout_ns, const std::function<bool()>& cancelled)
      EXCLUDES(mutex_);
  void release(std::uint64_t number) EXCLUDES(mutex_);
  bool lost(std::uint64_t number) const EXCLUDES(mutex_);

  /// LockHooks::lost and LeaseHooks::may_write.
  void on_lost(const std::vector<LockTarget>& gone) EXCLUDES(mutex_);
  Status may_write() const EXCLUDES(mutex_);

 private:
  Locks& locks_;
  std::atomic<std::uint64_t> last_{0};
  mutable Mutex mutex_;
  std::set<std::uint64_t> held_ GUARDED_BY(mutex_);
  std::set<std::uint64_t> lost_ GUARDED_BY(mutex_);
};

}  // namespace sboxfs
