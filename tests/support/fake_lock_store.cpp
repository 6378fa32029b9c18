#include "fake_lock_store.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"

namespace sboxfs::test {

void FakeLockRows::fail(int code) {
  MutexLock lock(mutex_);
  failure_ = code;
  late_failure_ = 0;
}
void FakeLockRows::fail_after(int code) {
  MutexLock lock(mutex_);
  late_failure_ = code;
}
void FakeLockRows::delay() {
  MutexLock lock(mutex_);
  delays_ = true;
}
void FakeLockRows::arrive_late() {
  std::function<void()> call;
  {
    MutexLock lock(mutex_);
    call.swap(delayed_);
  }
  call();
}
void FakeLockRows::hold() {
  MutexLock lock(mutex_);
  held_ = true;
}
void FakeLockRows::wait_for_held() {
  MutexLock lock(mutex_);
  while (hanging_ == 0) changed_.wait(lock);
}
void FakeLockRows::let_go() {
  MutexLock lock(mutex_);
  held_ = false;
  changed_.notify_all();
}
void FakeLockRows::expire(const SessionId& session) {
  MutexLock lock(mutex_);
  expired_.insert(session);
}
void FakeLockRows::crash() {
  MutexLock lock(mutex_);
  rows_.clear();
  wishes_.clear();
  for (const auto& [session, incarnation] : holders_) unheard_.insert(session);
}
void FakeLockRows::others_live(bool live) {
  MutexLock lock(mutex_);
  others_ = live;
}
void FakeLockRows::writer(std::optional<SessionId> session, Stamp stamp) {
  MutexLock lock(mutex_);
  writer_ = session;
  stamp_ = stamp;
}

std::vector<LockRange> FakeLockRows::granted(const SessionId& session, Ino ino) const {
  MutexLock lock(mutex_);
  std::vector<LockRange> out;
  for (const auto& [who, ranges] : rows_)
    if (who.session == session && who.target.ino == ino) out.insert(out.end(), ranges.begin(), ranges.end());
  return out;
}

std::size_t FakeLockRows::waiting() const {
  MutexLock lock(mutex_);
  return wishes_.size();
}

std::size_t FakeLockRows::calls(const std::string& what) const {
  MutexLock lock(mutex_);
  const auto at = calls_.find(what);
  return at == calls_.end() ? 0 : at->second;
}

Status FakeLockRows::arrive(const char* what, MutexLock& lock) {
  ++calls_[what];
  ++hanging_;
  changed_.notify_all();
  while (held_ && !BlockingSection::interrupted()) changed_.wait_for(lock, std::chrono::milliseconds(5));
  --hanging_;
  if (held_) return sboxfs::fail(EINTR);
  if (failure_ != 0) return sboxfs::fail(failure_, "a failure the test asked for");
  return {};
}

std::optional<LockConflict> FakeLockRows::conflict(const Owner& who, const LockRange& range, LockType type) const {
  for (const auto& [other, ranges] : rows_) {
    if (other == who || other.target.ino != who.target.ino || other.target.kind != who.target.kind) continue;
    for (const LockRange& held : ranges)
      if (lock_conflicts(range, type, held)) return LockConflict{other.session, other.target.owner, held};
  }
  return std::nullopt;
}

bool FakeLockRows::circle(const Owner& from, const Owner& to, std::set<Owner>& visited) const {
  for (const auto& [waiter, wish] : wishes_) {
    if (waiter.session != from.session || waiter.target.owner != from.target.owner) continue;
    for (const auto& [holder, ranges] : rows_) {
      if (holder == waiter || holder.target.ino != waiter.target.ino || holder.target.kind != waiter.target.kind)
        continue;
      for (const LockRange& held : ranges) {
        if (!lock_conflicts(wish.range, wish.type, held)) continue;
        if (holder.session == to.session && holder.target.owner == to.target.owner) return true;
        if (visited.insert(holder).second && circle(holder, to, visited)) return true;
      }
    }
  }
  return false;
}

void FakeLockRows::take_away(const SessionId& session) {
  std::erase_if(rows_, [&](const auto& row) { return row.first.session == session; });
  std::erase_if(wishes_, [&](const auto& row) { return row.first.session == session; });
  holders_.erase(session);
  expired_.erase(session);
  unheard_.erase(session);
}

LockOutcome FakeLockRows::hold_for(const SessionId& session, const LockTerms& terms) {
  const auto at = holders_.find(session);
  if (at == holders_.end() ? terms.holds
                           : at->second > terms.incarnation || (terms.holds && at->second != terms.incarnation))
    return LockOutcome::lost;
  if (unheard_.count(session) != 0) return LockOutcome::restarted;
  std::int64_t& fence = fences_[session];
  if (terms.call != 0 && terms.call < fence) return LockOutcome::late;
  fence = std::max(fence, terms.fence);
  holders_[session] = terms.incarnation;
  expired_.erase(session);
  return LockOutcome::done;
}

LockOutcome FakeLockRows::carry_out(const Owner& who, const LockRequest& request, LockAnswer& answer) {
  if (request.type != LockType::none) {
    for (auto at = unheard_.begin(); at != unheard_.end();) {
      const SessionId session = *at++;
      if (expired_.count(session) == 0 && request.dead != session) {
        answer.conflict = LockConflict{session, 0, {}};
        return LockOutcome::settling;
      }
      take_away(session);
    }
    answer.conflict = conflict(who, request.range, request.type);
    while (answer.conflict &&
           (expired_.count(answer.conflict->session) != 0 || request.dead == answer.conflict->session)) {
      take_away(answer.conflict->session);
      answer.conflict = conflict(who, request.range, request.type);
    }
    if (answer.conflict) {
      if (who.target.kind == LockKind::flock) rows_.erase(who);
      if (!request.wait) return LockOutcome::conflict;
      wishes_[who] = {request.range, request.type};
      std::set<Owner> visited;
      if (who.target.kind != LockKind::record || !circle(who, who, visited)) return LockOutcome::conflict;
      wishes_.erase(who);
      return LockOutcome::deadlock;
    }
  }
  wishes_.erase(who);
  rows_[who] = request.after;
  if (request.after.empty()) rows_.erase(who);
  for (const auto& [waiter, wish] : wishes_)
    answer.wakes = answer.wakes || (waiter.target.ino == who.target.ino && waiter.target.kind == who.target.kind);
  return LockOutcome::done;
}

Result<LockAnswer> FakeLockStore::set(const LockRequest& request, const LockTerms& terms) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("set", lock));
  if (rows_.delays_) {
    rows_.delays_ = false;
    rows_.delayed_ = [this, request, terms] { (void)set(request, terms); };
    return fail(EIO, "no answer in time");
  }
  LockAnswer answer;
  answer.writer = rows_.writer_;
  answer.stamp = rows_.stamp_;
  if (request.dirty && rows_.others_) {
    answer.outcome = LockOutcome::commit_first;
  } else {
    answer.outcome = rows_.hold_for(self_, terms);
    if (answer.outcome == LockOutcome::done) answer.outcome = rows_.carry_out({self_, request.target}, request, answer);
  }
  if (rows_.late_failure_ != 0) return fail(rows_.late_failure_, "the answer was lost");
  return answer;
}

Result<std::optional<LockConflict>> FakeLockStore::test(const LockTarget& target, const LockRange& range,
                                                        LockType type) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("test", lock));
  return rows_.conflict({self_, target}, range, type);
}

Result<LockOutcome> FakeLockStore::keep(const LockTerms& terms) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("keep", lock));
  return rows_.hold_for(self_, terms);
}

Result<LockOutcome> FakeLockStore::claim(const std::vector<LockClaim>& held, const LockTerms& terms) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("claim", lock));
  const auto at = rows_.holders_.find(self_);
  if (at == rows_.holders_.end() || at->second > terms.incarnation) return LockOutcome::lost;
  rows_.unheard_.erase(self_);
  rows_.expired_.erase(self_);
  for (const LockClaim& claim : held) rows_.rows_[{self_, claim.target}].push_back(claim.range);
  return LockOutcome::done;
}

}  // namespace sboxfs::test
