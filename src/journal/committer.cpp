#include "sboxfs/journal/committer.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/fault.hpp"
#include "sboxfs/base/log.hpp"
#include "upload.hpp"

namespace sboxfs {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstRetry{20};
constexpr milliseconds kLastRetry{1000};

bool has_rows(const Batch& batch) {
  return !batch.inodes.empty() || !batch.unlinked.empty() || !batch.dirents.empty() || !batch.cuts.empty() ||
         !batch.chunks.empty() || !batch.patches.empty() || !batch.ranges.empty() || !batch.xattrs.empty() ||
         !batch.orphans.empty() || !batch.gone.empty() || !batch.unpinned.empty();
}

Status stall() {
  return fail(EIO, "Postgres does not commit; the changes are kept, and committed when it answers again");
}

}  // namespace

Committer::Committer(State& state, Sink& sink, ContentCache& cache, const Clock& clock, CommitterOptions options,
                     CommitEvents events)
    : state_(state), sink_(sink), cache_(cache), clock_(clock), options_(options), events_(std::move(events)) {}

Committer::~Committer() { stop(true); }

void Committer::start() {
  abandon_ = false;
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

void Committer::stop(bool abandon) {
  if (!thread_.joinable()) return;
  abandon_ = abandon;
  thread_.request_stop();
  {
    // The lock orders the request before the committer's next look at its token.
    MutexLock lock(state_.mu);
    state_.work.notify_all();
    hurry_.notify_all();
    state_.committed.notify_all();
  }
  thread_.join();
}

void Committer::loop(const std::stop_token& stop) {
  InFlight flight;
  while (next(stop, flight)) commit(std::move(flight));
}

void Committer::gather(const std::stop_token& stop, MutexLock& lock) {
  while (alone_ && waiting_ == 0 && !stop.stop_requested()) {
    const auto left = cut_at_ + options_.pace - std::chrono::steady_clock::now();
    if (left <= left.zero()) return;
    hurry_.wait_for(lock, std::chrono::duration_cast<std::chrono::microseconds>(left));
  }
}

bool Committer::next(const std::stop_token& stop, InFlight& flight) {
  MutexLock lock(state_.mu);
  for (;;) {
    while (state_.journal.empty() && !stop.stop_requested()) state_.work.wait(lock);
    gather(stop, lock);
    if (state_.journal.empty() || abandon_) return false;
    cut_at_ = std::chrono::steady_clock::now();
    flight = state_.journal.cut(state_.tree);
    if (has_rows(flight.batch)) {
      state_.flying = flight.batch.id;
      return true;
    }
    // All of it cancelled out: settled without a transaction.
    state_.journal.settle(state_.tree, flight, state_.seen.version);
    told_ = flight.number;
    state_.committed.notify_all();
  }
}

void Committer::commit(InFlight flight) {
  hash_chunks(flight.batch, options_.uploaders);
  milliseconds pause = kFirstRetry;
  bool in_doubt = false;
  std::int64_t sent_ns = 0;
  while (!abandon_) {
    CommitTerms terms;
    {
      MutexLock lock(state_.mu);
      terms = {state_.epoch, state_.seen, published_version.load(), options_.lease_ns};
    }
    if (!in_doubt) sent_ns = clock_.monotonic_ns();  // looking a commit up does not renew the lease
    const CommitOutcome outcome = in_doubt ? sink_.look_up(flight.batch.id, terms) : attempt(flight, terms);
    switch (outcome.state) {
      case CommitState::committed: settle(flight, outcome, terms, sent_ns); return;
      case CommitState::fenced:
      case CommitState::destroyed: lose(std::move(flight), outcome.state); return;
      case CommitState::in_doubt: in_doubt = true; break;
      case CommitState::not_applied: in_doubt = false; break;
    }
    if (pause == kFirstRetry) log::warn("commit_retry: ", outcome.error.what);
    MutexLock lock(state_.mu);
    if (!abandon_) state_.committed.wait_for(lock, pause);
    pause = std::min(pause * 2, kLastRetry);
  }
}

CommitOutcome Committer::attempt(InFlight& flight, const CommitTerms& terms) {
  const auto moved = [this] { moved_ns_ = clock_.monotonic_ns(); };
  if (const Status uploaded = upload_blobs(flight.batch, sink_, options_.uploaders, moved); !uploaded.ok())
    return {CommitState::not_applied, {}, 0, false, uploaded.error()};
  if (fault::point("publish.early")) {
    const Stamp next{terms.base.version + 1, flight.batch.id};
    events_.committed(Change{next, terms.epoch, {}, flight.batch.delta}, terms.base.version, clock_.monotonic_ns());
  }
  fault::point("commit.before");
  CommitOutcome outcome = sink_.commit(flight.batch, terms);
  fault::point("commit.after");
  return outcome;
}

void Committer::settle(const InFlight& flight, const CommitOutcome& outcome, const CommitTerms& terms,
                       std::int64_t sent_ns) {
  moved_ns_ = clock_.monotonic_ns();
  std::vector<CleanChunk> clean;
  Change change{outcome.stamp, terms.epoch, {}, flight.batch.delta};
  {
    MutexLock lock(state_.mu);
    clean = state_.journal.settle(state_.tree, flight, outcome.stamp.version);
    // Chunks that became clean are read through the cache from now on: it must have them before the lock is let go.
    for (CleanChunk& chunk : clean) cache_.put(chunk.key, std::move(chunk.bytes));
    alone_ = outcome.alone;
    state_.seen = outcome.stamp;
    state_.recent.add(outcome.stamp.version, change.delta);
    state_.flying = {};
  }
  if (events_.committed) events_.committed(change, terms.base.version, sent_ns);
  MutexLock lock(state_.mu);
  told_ = flight.number;
  state_.committed.notify_all();
}

void Committer::lose(InFlight flight, CommitState why) {
  std::vector<InFlight> lost;
  Delta dropped;
  {
    MutexLock lock(state_.mu);
    lost.push_back(std::move(flight));
    if (!state_.journal.empty()) lost.push_back(state_.journal.cut(state_.tree));
    for (const InFlight& batch : lost) state_.usage.add(-batch.batch.used_blocks, -batch.batch.used_inodes);
    lost_.emplace_back(lost.front().number, lost.back().number);
    forget_orphans(lost);
    state_.journal.reset();
    told_ = state_.journal.committed();
    dropped = state_.tree.everything();
    state_.tree.drop_all();
    state_.recent.clear();
    state_.flying = {};
    state_.writable = false;
    ++state_.generation;
    remember_lost(lost, ++state_.losses);
    if (why == CommitState::destroyed) state_.destroyed = true;
    state_.committed.notify_all();
  }
  log::error("changes_lost: ", why == CommitState::destroyed ? "the sandbox was destroyed" : "the lease was lost");
  if (events_.lost) events_.lost(why, lost, dropped);
}

/// The database has heard nothing of what became an orphan, or no longer is one.
void Committer::forget_orphans(const std::vector<InFlight>& lost) {
  for (auto flight = lost.rbegin(); flight != lost.rend(); ++flight) {
    for (const Ino ino : flight->batch.orphans) {
      Inode* inode = state_.tree.peek(ino);
      if (inode == nullptr) continue;
      inode->orphan_in_store = false;
      state_.let_go(*inode);
    }
    for (const Ino ino : flight->batch.unpinned)
      if (Inode* inode = state_.tree.peek(ino)) inode->orphan_in_store = true;
  }
}

void Committer::remember_lost(const std::vector<InFlight>& lost, std::uint64_t loss) {
  for (const InFlight& batch : lost) {
    for (const Ino ino : batch.keys.inodes) state_.lost[ino] = {loss};
    for (const Ino ino : batch.keys.files) state_.lost[ino] = {loss};
    for (const DirentKey& name : batch.keys.names) state_.lost[name.parent] = {loss};
    for (const JournalKeys::ChunkKey& chunk : batch.keys.chunks) state_.lost[chunk.ino] = {loss};
    for (const JournalKeys::XattrKey& xattr : batch.keys.xattrs) state_.lost[xattr.ino] = {loss};
  }
}

bool Committer::was_lost(std::uint64_t number) const {
  return std::any_of(lost_.begin(), lost_.end(),
                     [&](const auto& range) { return range.first <= number && number <= range.second; });
}

bool Committer::stalled(std::int64_t start_ns) const {
  return clock_.monotonic_ns() - std::max(start_ns, moved_ns_.load()) > options_.stall_ns;
}

Status Committer::wait_committed(std::uint64_t number, std::int64_t timeout_ns) {
  {
    MutexLock lock(state_.mu);
    if (told_ >= number && !was_lost(number)) return {};
  }
  BlockingSection waiting;
  const std::int64_t start = clock_.monotonic_ns();
  MutexLock lock(state_.mu);
  const Waiting counted(*this);
  for (;;) {
    if (was_lost(number)) return fail(EIO, "the changes were lost with the lease");
    if (told_ >= number) return {};
    if (BlockingSection::interrupted()) return fail(EINTR);
    if (timeout_ns <= 0 && stalled(start)) return stall();
    if (timeout_ns > 0 && clock_.monotonic_ns() - start > timeout_ns)
      return fail(ETIMEDOUT, "the database did not commit in time");
    state_.committed.wait_for(lock, milliseconds(50));
  }
}

Status Committer::sync(std::int64_t timeout_ns) {
  std::uint64_t number = 0;
  {
    MutexLock lock(state_.mu);
    number = state_.journal.newest();
  }
  return wait_committed(number, timeout_ns);
}

Status Committer::wait_room() {
  const auto full = [this]() {
    state_.mu.assert_held();
    return state_.journal.bytes() > options_.journal_bytes || state_.journal.ops() > options_.journal_ops;
  };
  {
    MutexLock lock(state_.mu);
    if (!full()) return {};
  }
  BlockingSection waiting;
  const std::int64_t start = clock_.monotonic_ns();
  MutexLock lock(state_.mu);
  const Waiting counted(*this);
  while (full()) {
    if (BlockingSection::interrupted()) return fail(EINTR);
    if (stalled(start)) return stall();
    state_.committed.wait_for(lock, milliseconds(50));
  }
  return {};
}

}  // namespace sboxfs
