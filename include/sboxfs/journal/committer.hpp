// The commit pipeline: cut, hash, upload blobs, commit, settle; while batch n commits, n+1 gathers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/content/cache.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/sink.hpp"

namespace sboxfs {

struct CommitterOptions {
  std::uint64_t journal_bytes = 64ULL << 20;
  std::uint64_t journal_ops = 100'000;
  std::int64_t lease_ns = 10 * kSecondNs;
  std::int64_t stall_ns = 30 * kSecondNs;  ///< who waits gives up when nothing has reached the database for so long
  /// While nobody waits and no other session is there to see it: the least time from one cut to the next.
  std::chrono::milliseconds pace{25};
  unsigned uploaders = 3;
};

/// What the committer tells the layers above. Called on the committer's thread, without a Mutex held; must not block
/// on I/O.
struct CommitEvents {
  /// `change` is in the database (its stamp, epoch and delta), after version `previous`; the lease was renewed by it
  /// at `sent_ns` (monotonic, before the commit was sent).
  std::function<void(const Change& change, Version previous, std::int64_t sent_ns)> committed;
  /// The batch was refused for good (CommitState::fenced or destroyed): it is lost. Everything accepted since the
  /// last commit is in `lost`, in order: the refused batch, then the cut of what had gathered behind it. `dropped` is
  /// what memory has dropped: the kernel must forget it too.
  std::function<void(CommitState why, const std::vector<InFlight>& lost, const Delta& dropped)> lost;
};

/// One thread. Thread-safe.
class Committer {
 public:
  Committer(State& state, Sink& sink, ContentCache& cache, const Clock& clock, CommitterOptions options,
            CommitEvents events);
  ~Committer();
  /// At first, or again after stop().
  void start();
  /// Stops after everything accepted so far was committed, or, with `abandon`, as soon as the call under way ends.
  void stop(bool abandon);

  /// Waits until batch `number` is committed and CommitEvents::committed has returned. Errors: EIO it was lost; EINTR
  /// interrupted; ETIMEDOUT after `timeout_ns`; without one (<= 0) EIO when nothing has reached the database for
  /// `stall_ns` (the changes are kept, and committed when it is back).
  Status wait_committed(std::uint64_t number, std::int64_t timeout_ns = 0);
  /// Everything accepted so far.
  Status sync(std::int64_t timeout_ns = 0);
  /// Back-pressure: returns when the journal is below its limits. Errors: EINTR; EIO as above.
  Status wait_room();

  /// How far Redis has acknowledged: rides in the next commit.
  std::atomic<Version> published_version{0};

 private:
  void loop(const std::stop_token& stop);
  /// Waits for work; false when the thread shall end.
  bool next(const std::stop_token& stop, InFlight& flight);
  /// A stream of changes that nobody waits for shares transactions: waits until `pace` after the last cut.
  void gather(const std::stop_token& stop, MutexLock& lock) REQUIRES(state_.mu);
  void commit(InFlight flight);
  CommitOutcome attempt(InFlight& flight, const CommitTerms& terms);
  void settle(const InFlight& flight, const CommitOutcome& outcome, const CommitTerms& terms, std::int64_t sent_ns);
  void lose(InFlight flight, CommitState why);
  void forget_orphans(const std::vector<InFlight>& lost) REQUIRES(state_.mu);
  void remember_lost(const std::vector<InFlight>& lost, std::uint64_t loss) REQUIRES(state_.mu);
  bool was_lost(std::uint64_t number) const REQUIRES(state_.mu);
  /// Nothing has reached the database for stall_ns, nor since `start_ns`.
  bool stalled(std::int64_t start_ns) const;

  /// Somebody waits for the database, for as long as it lives.
  class Waiting {
   public:
    explicit Waiting(Committer& committer) : committer_(committer) {
      committer_.state_.mu.assert_held();
      ++committer_.waiting_;
      committer_.state_.work.notify_one();
      committer_.hurry_.notify_one();
    }
    ~Waiting() {
      committer_.state_.mu.assert_held();
      --committer_.waiting_;
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    Committer& committer_;
  };

  State& state_;
  Sink& sink_;
  ContentCache& cache_;
  const Clock& clock_;
  const CommitterOptions options_;
  const CommitEvents events_;
  // First and last batch of every loss: who comes to wait only after it must still hear of it.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> lost_ GUARDED_BY(state_.mu);
  std::uint64_t told_ GUARDED_BY(state_.mu) = 0;  // newest batch the layers above know the end of
  std::atomic<std::int64_t> moved_ns_{0};         // when something last reached the database (monotonic)
  std::chrono::steady_clock::time_point cut_at_ GUARDED_BY(state_.mu);
  unsigned waiting_ GUARDED_BY(state_.mu) = 0;
  bool alone_ GUARDED_BY(state_.mu) = false;  // the last commit saw no other session
  CondVar hurry_;
  std::jthread thread_;
  std::atomic<bool> abandon_{false};
};

}  // namespace sboxfs
