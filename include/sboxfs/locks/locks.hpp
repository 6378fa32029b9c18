// The file locks of one session: what its processes hold and wait for. The state machines are in src/README.md.
//
// Invariants: the database holds at least what `held_` says (what may be too much there is marked `dirty` and put
// right by the keeper); calls for one owner and inode are made one after the other; a request that waits is answered
// exactly once, by whoever moves its waiter to `ended`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/mutex.hpp"
#include "sboxfs/ports/bus.hpp"
#include "sboxfs/ports/lock_store.hpp"

namespace sboxfs {

/// One request of the kernel.
struct LockCall {
  LockTarget target;
  LockRange range;
  LockType type = LockType::none;
  std::uint64_t handle = 0;  ///< the open file it came through: its end lets go what was locked through it
  std::uint64_t losses = 0;  ///< Locks::losses() when that file was opened
};

struct LockOptions {
  std::int64_t lease_ns = 10 * kSecondNs;         ///< what is held is renewed every third of it
  std::int64_t poll_ns = 200 * kMillisecondNs;    ///< how often a waiting request asks again without Redis ...
  std::int64_t look_ns = 500 * kMillisecondNs;    ///< ... and with it (a lost message, a holder that has died)
  std::int64_t io_timeout_ns = 30 * kSecondNs;    ///< the longest a call tries to reach the database
  std::int64_t closing_ns = 50 * kMillisecondNs;  ///< a close(2) this recent may have let go what seems to be held
};

/// All may be empty. Called without a Mutex held.
struct LockHooks {
  /// Whether something accepted is not committed; commits it.
  std::function<bool()> dirty;
  std::function<Status()> commit;
  /// The refresh that comes with a grant (design, invariant 8).
  std::function<Status(const LockAnswer&)> refresh;
  /// Whether that session is certainly dead; whether it ran on this host.
  std::function<bool(const SessionId&)> is_dead;
  std::function<bool(const SessionId&)> is_here;
  /// These targets were lost. The kernel must forget what it has of the files: reads go on to the daemon, and fail.
  std::function<void(const std::vector<LockTarget>&)> lost;
};

class Locks;

/// A request that waits. Made by the caller, shared with Locks.
class LockWaiter {
 public:
  /// `done` is called once, on a thread of Locks, without a Mutex held, unless give_up() has returned true.
  LockWaiter(LockCall wanted, std::function<void(const Status&)> answer) : call(wanted), done(std::move(answer)) {}
  const LockCall call;
  const std::function<void(const Status&)> done;

 private:
  friend class Locks;
  enum class State { fresh, parked, ended };
  State state = State::fresh;   // under Locks' mutex
  std::int64_t since_ns = 0;    // when it was parked
  std::int64_t failing_ns = 0;  // since when the database does not answer; the keeper's own
};

/// Thread-safe; two threads: the keeper (waiting requests, and putting the database right) and one that renews.
/// Lock order: State::mu may be held when lost() is called; nothing is taken under Locks' own mutex.
class Locks {
 public:
  Locks(LockStore& store, Bus& bus, const Clock& clock, SessionId self, LockOptions options, LockHooks hooks);
  ~Locks();
  /// Also again after stop() (with a new row of the session).
  void start();
  /// The mount is gone: what waits and what comes is answered with ENOTCONN; what is held stays held and renewed.
  void refuse() EXCLUDES(mutex_);
  /// Ends the threads, too. The rows go with the session's.
  void stop();

  /// Locks or unlocks. With `wait` the request is registered as waiting when it can not be granted: park() it, or let
  /// go. Errors: EAGAIN it conflicts; EDEADLK (only with `wait`); EIO the database can not be reached, or the file's
  /// locks were lost; ESTALE destroyed; EINTR.
  Status set(const LockCall& call, bool wait) EXCLUDES(mutex_);
  /// Has a request tried again until it is granted. False: it was given up meanwhile, and is answered already.
  bool park(const std::shared_ptr<LockWaiter>& waiter) EXCLUDES(mutex_);
  /// The request shall wait no longer. True: the caller answers it, nobody else does.
  bool give_up(const std::shared_ptr<LockWaiter>& waiter) EXCLUDES(mutex_);
  /// F_GETLK. The conflict's `pid` is 0 where it would mean nothing on this host. Errors: EIO, ESTALE, EINTR.
  Result<std::optional<LockConflict>> test(const LockCall& call) EXCLUDES(mutex_);

  /// close(2) of a descriptor (FLUSH): the process's records on the file go before it returns.
  Status close_owner(Ino ino, std::uint64_t owner, std::uint64_t handle) EXCLUDES(mutex_);
  /// The last descriptor of an open file is closed (RELEASE): what was locked through it goes. Does not wait.
  void close_handle(Ino ino, std::uint64_t handle) EXCLUDES(mutex_);

  /// How often this session's locks were taken away.
  std::uint64_t losses() const { return losses_.load(std::memory_order_relaxed); }
  /// Whether a file that was open at `losses` had its locks taken away since: everything through it is EIO. Costs a
  /// load while nothing was ever lost.
  bool lost(Ino ino, std::uint64_t losses) const EXCLUDES(mutex_);
  /// Whether what is held is certainly still held, asking the database where that is not known; what was lost is known
  /// to lost() afterwards. For a session that is about to write again after it had lost the right to. Errors: EIO.
  Status confirm() EXCLUDES(mutex_);

  /// News::Kind::locks.
  void on_news() EXCLUDES(mutex_);
  /// Targets held now.
  std::size_t held() const EXCLUDES(mutex_);

 private:
  struct Held {
    std::vector<LockRange> ranges;
    std::uint64_t handle = 0;
    std::int64_t closed_ns = 0;  // when a descriptor of the handle was closed last
    bool busy = false;           // a call is under way
    bool dirty = false;          // the database may hold more than `ranges`, or a request that waits no longer
  };
  using Table = std::map<LockTarget, Held>;

  using Targets = std::vector<LockTarget>;
  /// One call to the database, with what it needs to be settled.
  struct Asking {
    LockRequest request;
    LockTerms terms;
    std::vector<LockRange> before;
    LockAnswer answer;
    Status status;            // of the call
    std::uint64_t claim = 0;  // claims_ when it was made
  };

  Status try_set(const LockCall& call, bool wait, bool patient, LockWaiter* waiter);
  Result<Asking> begin(const LockCall& call, bool wait, LockWaiter* waiter);
  void ask(Asking& asking, bool weakens, bool patient);
  bool ask_once(Asking& asking, bool& weakens, bool patient);
  Status claim(const LockTerms& terms, std::uint64_t before) EXCLUDES(mutex_);
  Status settle(const LockCall& call, Asking& asking, Targets& gone) REQUIRES(mutex_);
  void end(const LockTarget& target) REQUIRES(mutex_);
  void wake(const LockAnswer& answer);
  bool wait_for_closing(const LockCall& call);
  bool conflicts_here(const LockCall& call) const REQUIRES(mutex_);
  void lose(Targets& gone) REQUIRES(mutex_);
  void tell(const Targets& gone);
  LockTerms terms() const REQUIRES(mutex_);
  LockTerms next_terms() REQUIRES(mutex_);
  void number_anew(LockTerms& terms, bool fence) EXCLUDES(mutex_);

  void keep(const std::stop_token& stop);
  bool put_right();
  bool put_right(const LockTarget& target);
  void try_waiters();
  void try_waiter(const std::shared_ptr<LockWaiter>& waiter);
  void renew(const std::stop_token& stop);
  Status renew_once();

  LockStore& store_;
  Bus& bus_;
  const Clock& clock_;
  const SessionId self_;
  const LockOptions options_;
  const LockHooks hooks_;
  mutable Mutex mutex_;
  CondVar changed_;
  Table held_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<LockWaiter>> waiters_ GUARDED_BY(mutex_);
  std::map<Ino, std::uint64_t> lost_ GUARDED_BY(mutex_);  // at which loss; never forgotten: losses are rare
  std::int64_t incarnation_ GUARDED_BY(mutex_) = 1;
  std::uint64_t claims_ GUARDED_BY(mutex_) = 0;  // how often the database was told all that is held
  std::int64_t last_call_ GUARDED_BY(mutex_) = 0;
  bool claiming_ GUARDED_BY(mutex_) = false;
  bool retry_ GUARDED_BY(mutex_) = false;  // waiting requests may be granted now
  bool dirty_ GUARDED_BY(mutex_) = false;  // something in the table is
  bool refusing_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::atomic<std::uint64_t> losses_{0};
  std::atomic<std::size_t> targets_{0};  // held_.size(): most files are never locked
  std::jthread keeper_;
  std::jthread renewer_;
};

}  // namespace sboxfs
