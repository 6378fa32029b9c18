// What of a session goes when its mount is idle, and how it comes back (session/idle.hpp says when).
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "sboxfs/coherence/notifier.hpp"
#include "sboxfs/coherence/publisher.hpp"
#include "sboxfs/content/cache.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/lease/lease.hpp"
#include "sboxfs/ports/lease_store.hpp"
#include "sboxfs/ports/loader.hpp"

namespace sboxfs {

struct EvictionOptions {
  std::string host;
  std::string mount_point;
  std::int64_t alive_ns = 30 * kSecondNs;
  std::int64_t drain_timeout_ns = 10 * kSecondNs;
};

struct EvictionHooks {
  std::function<void()> start;  ///< the session's threads
  std::function<void()> stop;
  std::function<void()> disconnect;  ///< closes every connection; the next call opens one again
  std::function<void()> destroyed;   ///< the sandbox has gone meanwhile: the mount shall end. Must not block
};

/// Not thread-safe: one call at a time, but for left_unpublished() and evictions().
class Eviction {
 public:
  Eviction(State& state, Loader& loader, LeaseStore& store, Lease& lease, Publisher& publisher, Notifier& notifier,
           ContentCache& cache, EvictionOptions options, EvictionHooks hooks);

  /// Nothing is open, and everything accepted is committed.
  bool unused() const;
  /// The kernel forgets all it has cached; returns when it has, or after 10 s.
  void take_back();
  /// Commits, releases the lease and publishes, trying for the drain time-out while `go_on` says so. What Redis did not
  /// take then is left to the outbox, with a warning. Errors: EAGAIN told to stop; as Lease::give_up.
  Status settle(const std::function<bool()>& go_on);
  /// After settle(), with no request under way: threads, session row, caches and connections go.
  void evict();
  /// Row, `seen` and threads are there again; memory is empty and equals the database. Errors: as Loader; ESTALE also
  /// ends the mount. Then everything is as evict() left it.
  Status revive();

  /// Whether evict() left a version to the outbox, and nobody is there now to publish it.
  bool left_unpublished() const { return left_unpublished_; }
  std::uint64_t evictions() const { return evictions_; }

 private:
  Status register_again();

  State& state_;
  Loader& loader_;
  LeaseStore& store_;
  Lease& lease_;
  Publisher& publisher_;
  Notifier& notifier_;
  ContentCache& cache_;
  const EvictionOptions options_;
  const EvictionHooks hooks_;
  std::atomic<bool> left_unpublished_{false};
  std::atomic<std::uint64_t> evictions_{0};
};

}  // namespace sboxfs
