// Refresh (design, invariant 8): the writer commits what it has accepted, this session adopts it, the kernel knows.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/coherence/notifier.hpp"
#include "sboxfs/ports/bus.hpp"
#include "sboxfs/ports/lease_store.hpp"

namespace sboxfs {

struct RefreshOptions {
  std::int64_t writer_timeout_ns = 1 * kSecondNs;  ///< how long the writer may take to commit
  std::int64_t notify_timeout_ns = 1 * kSecondNs;  ///< how long the kernel may take
  /// Whether that writer is certainly dead (its host's kernel says so): then it has nothing to commit. May be empty.
  std::function<bool(const SessionId&)> writer_is_dead = {};
};

/// Thread-safe.
class Refresh {
 public:
  /// `acquire_lease` is WriteAccess::acquire(): without Redis, having the lease is the way to see what its holder had
  /// accepted. It may be empty, or answer EROFS.
  Refresh(State& state, Adoption& adoption, LeaseStore& store, Bus& bus, Notifier& notifier, const Clock& clock,
          SessionId self, RefreshOptions options, std::function<Status()> acquire_lease)
      : state_(state),
        adoption_(adoption),
        store_(store),
        bus_(bus),
        notifier_(notifier),
        clock_(clock),
        self_(self),
        options_(std::move(options)),
        acquire_lease_(std::move(acquire_lease)) {}

  /// Blocks. One short query when nobody else is writing and nothing has changed. Errors: as Loader. Never called
  /// from a request that holds a directory or page lock (Notifier::wait).
  Status run();
  /// The same for a caller who has just read who writes and where the sandbox is: no query when nothing has changed.
  Status run_from(const std::optional<SessionId>& writer, const Stamp& now);
  /// News::Kind::refreshed for us.
  void on_news(const News& news);

 private:
  bool writing() const;
  /// False: nobody else has accepted anything, and memory equals `now`, what the database had at the call.
  Result<bool> ask_writer(const std::optional<SessionId>& writer, const Stamp& now);
  /// Its time-out is no error: what has been committed by then is adopted.
  Status wait_for_answer(const Uuid& question, std::int64_t end_ns);
  void wait_for_kernel();
  Status take_over(const SessionId& writer, std::int64_t end_ns);

  State& state_;
  Adoption& adoption_;
  LeaseStore& store_;
  Bus& bus_;
  Notifier& notifier_;
  const Clock& clock_;
  const SessionId self_;
  const RefreshOptions options_;
  const std::function<Status()> acquire_lease_;
  Mutex mutex_;
  CondVar answered_;
  std::set<Uuid> questions_ GUARDED_BY(mutex_);  // not answered yet
};

}  // namespace sboxfs
