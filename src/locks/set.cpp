// One request: begin (its owner's calls take turns), ask the database, settle, refresh.
#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/log.hpp"
#include "sboxfs/locks/locks.hpp"

namespace sboxfs {
namespace {

constexpr std::chrono::milliseconds kSlice{20};
constexpr std::chrono::milliseconds kRetry{100};
// So long who waits lets those who have waited longer go first, and no longer: their host may hang.
constexpr std::int64_t kPoliteNs = 1 * kSecondNs;
// Who has waited for so long has a turn. Without news it takes it only at its next poll, so turns are fewer then.
constexpr std::int64_t kTurnNs = 100 * kMillisecondNs;
constexpr std::int64_t kTurnWithoutNewsNs = 1 * kSecondNs;

}  // namespace

Status Locks::set(const LockCall& call, bool wait) {
  Status status = try_set(call, wait, true, nullptr);
  if (status.code() != EAGAIN || wait || !wait_for_closing(call)) return status;
  return try_set(call, wait, true, nullptr);
}

Status Locks::try_set(const LockCall& call, bool wait, bool patient, LockWaiter* waiter) {
  BlockingSection waiting;
  for (;;) {
    SBOXFS_ASSIGN(Asking asking, begin(call, wait, waiter));
    const bool weakens = lock_weakened(asking.before, asking.request.after);
    ask(asking, weakens, patient);
    Targets gone;
    MutexLock lock(mutex_);
    while (asking.claim != claims_) {
      // The database was told what is held while this was not settled: it has forgotten it.
      lock.unlock();
      ask(asking, weakens, patient);
      lock.lock();
    }
    Status status = settle(call, asking, gone);
    lock.unlock();
    tell(gone);
    if (status.ok() && call.type != LockType::none && hooks_.refresh) status = hooks_.refresh(asking.answer);
    lock.lock();
    Held& held = held_[call.target];
    const bool abandoned = waiter != nullptr && waiter->state == LockWaiter::State::ended;
    const bool granted = asking.status.ok() && asking.answer.outcome == LockOutcome::done;
    if (granted && (!status.ok() || abandoned) && call.type != LockType::none) {
      // Nobody will ever hear of the grant.
      if (asking.terms.incarnation == incarnation_) held.ranges = asking.before;
      held.dirty = dirty_ = true;
      changed_.notify_all();
    } else if (status.ok() && waiter != nullptr) {
      waiter->state = LockWaiter::State::ended;
    }
    end(call.target);
    lock.unlock();
    wake(asking.answer);
    // Another incarnation may ask again, unless it was this file's locks that were lost.
    const bool lost_now = asking.status.ok() && asking.answer.outcome == LockOutcome::lost;
    if (!lost_now || lost(call.target.ino, call.losses)) return status;
  }
}

Result<Locks::Asking> Locks::begin(const LockCall& call, bool wait, LockWaiter* waiter) {
  const std::int64_t deadline = clock_.monotonic_ns() + options_.io_timeout_ns;
  const bool connected = bus_.connected();
  MutexLock lock(mutex_);
  for (;;) {
    if (stopped_ || (refusing_ && call.type != LockType::none)) return fail(ENOTCONN);
    const auto at = held_.find(call.target);
    bool must_wait = at != held_.end() && at->second.busy;
    // What is being let go on this file is let go first. The keeper itself does that.
    if (waiter == nullptr && call.type != LockType::none) {
      auto other = held_.lower_bound({call.target.ino, LockKind::flock, 0});
      for (; other != held_.end() && other->first.ino == call.target.ino; ++other)
        must_wait = must_wait || other->second.dirty;
    }
    if (!must_wait) break;
    if (waiter != nullptr) return fail(EAGAIN);
    if (BlockingSection::interrupted()) return fail(EINTR);
    if (clock_.monotonic_ns() >= deadline) return fail(EIO, "a lock could not be let go: the database does not answer");
    changed_.wait_for(lock, kSlice);
  }
  const auto lost_at = lost_.find(call.target.ino);
  if (lost_at != lost_.end() && call.losses < lost_at->second) return fail(EIO, "the file's locks were lost");
  Held& held = held_[call.target];
  held.busy = true;
  targets_ = held_.size();
  Asking out;
  out.before = held.ranges;
  out.terms = next_terms();
  out.request.target = call.target;
  out.request.range = call.range;
  out.request.type = call.type;
  out.request.after = lock_ranges_after(held.ranges, call.range, call.type);
  out.request.wait = wait;
  const bool polite = wait && (waiter == nullptr || clock_.monotonic_ns() - waiter->since_ns < kPoliteNs);
  if (polite) out.request.polite_ns = connected ? kTurnNs : kTurnWithoutNewsNs;
  return out;
}

void Locks::ask(Asking& asking, bool weakens, bool patient) {
  const std::int64_t deadline = clock_.monotonic_ns() + options_.io_timeout_ns;
  while (!ask_once(asking, weakens, patient)) {
    const bool settling = asking.status.ok() && asking.answer.outcome == LockOutcome::settling;
    if (asking.status.ok() && !settling) continue;
    if (clock_.monotonic_ns() >= deadline || BlockingSection::interrupted()) return;
    MutexLock lock(mutex_);
    if (stopped_) return;
    changed_.wait_for(lock, kRetry);
  }
}

/// False: to be asked again, after a pause when it failed or others must settle first.
bool Locks::ask_once(Asking& asking, bool& weakens, bool patient) {
  LockRequest& request = asking.request;
  request.dirty = weakens && hooks_.dirty && hooks_.dirty();
  {
    MutexLock lock(mutex_);
    asking.claim = claims_;
  }
  Result<LockAnswer> answer = store_.set(request, asking.terms);
  asking.status = answer.ok() ? Status() : Status(answer.error());
  if (answer.ok() && answer->outcome == LockOutcome::restarted) {
    asking.status = claim(asking.terms, asking.claim);
    if (asking.status.ok()) return false;
  }
  if (!asking.status.ok()) {
    // The call replaces rows, so it may be made again although nobody knows what became of it; but it may still arrive.
    number_anew(asking.terms, true);
    return asking.status.code() != EIO || !patient;
  }
  asking.answer = *answer;
  switch (answer->outcome) {
    case LockOutcome::commit_first: {
      // Whoever gets the lock next must see what was done under it, also when this host hangs from here on.
      const Status committed = hooks_.commit ? hooks_.commit() : Status();
      if (committed.ok()) {
        weakens = false;
        return false;
      }
      log::warn("lock_kept: what was written under it is not committed: ", committed.error().what);
      asking.status = committed.error();
      // What was lost is not there to be committed at the next try.
      return committed.code() != EIO || !patient;
    }
    case LockOutcome::late: number_anew(asking.terms, false); return false;
    case LockOutcome::conflict:
    case LockOutcome::settling: {
      const bool settling = answer->outcome == LockOutcome::settling;
      const std::optional<LockConflict>& with = answer->conflict;
      const bool dead = with && hooks_.is_dead && with->session != self_ && request.dead != with->session &&
                        hooks_.is_dead(with->session);
      if (!dead) return !settling || request.wait || !patient;
      request.dead = with->session;
      // Not `settling`: asked again at once.
      asking.answer.outcome = LockOutcome::conflict;
      return false;
    }
    default: return true;
  }
}

/// The database has restarted, and may have forgotten what it granted last. One thread says what is held, and the
/// others wait for it. `before`: claims_ when the database was asked.
Status Locks::claim(const LockTerms& terms, std::uint64_t before) {
  std::vector<LockClaim> held;
  {
    MutexLock lock(mutex_);
    while (claiming_) {
      if (BlockingSection::interrupted()) return fail(EINTR);
      changed_.wait_for(lock, kSlice);
    }
    if (claims_ != before) return {};
    if (terms.incarnation != incarnation_) return {};  // the next answer says `lost`
    claiming_ = true;
    for (const auto& [target, mine] : held_)
      for (const LockRange& range : mine.ranges) held.push_back({target, range});
  }
  const Result<LockOutcome> said = store_.claim(held, terms);
  Targets gone;
  {
    MutexLock lock(mutex_);
    claiming_ = false;
    retry_ = true;
    // Also when nobody knows whether it was heard: what was asked before it is asked again.
    ++claims_;
    if (said.ok() && *said == LockOutcome::lost && terms.incarnation == incarnation_) lose(gone);
    changed_.notify_all();
  }
  tell(gone);
  if (said.ok()) log::info("locks_claimed: ", held.size(), " after a restart of the database");
  return said.ok() ? Status() : Status(said.error());
}

Status Locks::settle(const LockCall& call, Asking& asking, Targets& gone) {
  Held& held = held_[call.target];
  const bool same = asking.terms.incarnation == incarnation_;
  const bool lets_go = call.type == LockType::none;
  if (!asking.status.ok()) {
    // It may have been carried out: the keeper makes the database equal to what is said here.
    if (lets_go && same) held.ranges = asking.request.after;
    held.dirty = dirty_ = true;
    changed_.notify_all();
    return asking.status;
  }
  switch (asking.answer.outcome) {
    case LockOutcome::done:
      if (!same) {
        held.dirty = dirty_ = true;
        return lets_go ? Status() : fail(EIO, "the locks were lost");
      }
      held.ranges = asking.request.after;
      held.handle = call.handle;
      if (lets_go) held.dirty = false;
      if (call.type != LockType::exclusive) retry_ = true;
      return {};
    case LockOutcome::conflict:
      if (call.target.kind == LockKind::flock && same) held.ranges.clear();
      return fail(EAGAIN);
    case LockOutcome::deadlock: return fail(EDEADLK);
    case LockOutcome::lost:
      if (same) lose(gone);
      return fail(EIO, "the locks were lost");
    case LockOutcome::turn:
    case LockOutcome::settling:
    case LockOutcome::restarted:
    case LockOutcome::late:
    case LockOutcome::commit_first: break;
  }
  return fail(EAGAIN);
}

void Locks::end(const LockTarget& target) {
  const auto at = held_.find(target);
  at->second.busy = false;
  dirty_ = dirty_ || at->second.dirty;
  if (at->second.ranges.empty() && !at->second.dirty) held_.erase(at);
  targets_ = held_.size();
  changed_.notify_all();
}

void Locks::wake(const LockAnswer& answer) {
  if (!answer.wakes) return;
  {
    MutexLock lock(mutex_);
    retry_ = true;
    changed_.notify_all();
  }
  News news;
  news.kind = News::Kind::locks;
  news.session = self_;
  if (!bus_.announce(news).ok()) log::debug("locks: Redis is away, who waits polls");
}

bool Locks::conflicts_here(const LockCall& call) const {
  auto at = held_.lower_bound({call.target.ino, call.target.kind, 0});
  for (; at != held_.end() && at->first.ino == call.target.ino && at->first.kind == call.target.kind; ++at) {
    if (at->first.owner == call.target.owner) continue;
    for (const LockRange& range : at->second.ranges)
      if (lock_conflicts(call.range, call.type, range)) return true;
  }
  return false;
}

bool Locks::wait_for_closing(const LockCall& call) {
  BlockingSection waiting;
  MutexLock lock(mutex_);
  for (;;) {
    // The kernel sends the end of an open file behind close(2)'s back: it may be on its way.
    bool closing = false;
    auto at = held_.lower_bound({call.target.ino, call.target.kind, 0});
    for (; at != held_.end() && at->first.ino == call.target.ino && at->first.kind == call.target.kind; ++at) {
      const Held& held = at->second;
      if (at->first.owner == call.target.owner) continue;
      closing = closing || held.dirty ||
                (held.closed_ns != 0 && clock_.monotonic_ns() - held.closed_ns < options_.closing_ns);
    }
    // What was closing may have gone between the answer and this look.
    if (!closing) return !conflicts_here(call);
    if (BlockingSection::interrupted()) return false;
    changed_.wait_for(lock, std::chrono::milliseconds(5));
  }
}

}  // namespace sboxfs
