// Waiting, announced. Whoever is about to wait (a load, the lease, a commit, back-pressure, a lock) opens a
// BlockingSection; the thread's observer then sees to it that somebody else answers requests meanwhile, and
// leaves the read-side section (base/read_gate.hpp) for as long as the wait lasts.
// Rule: never open one while holding a Mutex.
#pragma once

namespace sboxfs {

/// A thread's own view of waiting. The FUSE loop installs one per worker; other threads have none.
class BlockingObserver {
 public:
  virtual ~BlockingObserver() = default;
  virtual void before_wait() = 0;
  virtual void after_wait() = 0;
  /// True once the caller of this request was interrupted (FUSE_INTERRUPT): the wait shall end with EINTR.
  virtual bool interrupted() const = 0;
};

/// Makes `observer` (may be null; not owned) the calling thread's; returns the one before.
BlockingObserver* set_blocking_observer(BlockingObserver* observer);

/// The scope of one wait. Nested sections count as one.
class BlockingSection {
 public:
  BlockingSection();
  ~BlockingSection();
  BlockingSection(const BlockingSection&) = delete;
  BlockingSection& operator=(const BlockingSection&) = delete;

  /// Whether the calling thread's request was interrupted. Poll it at least every 50 ms while waiting.
  static bool interrupted();
};

}  // namespace sboxfs
