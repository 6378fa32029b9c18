#include "sboxfs/locks/locks.hpp"

#include <algorithm>

#include "sboxfs/base/log.hpp"

namespace sboxfs {

Locks::Locks(LockStore& store, Bus& bus, const Clock& clock, SessionId self, LockOptions options, LockHooks hooks)
    : store_(store), bus_(bus), clock_(clock), self_(self), options_(options), hooks_(std::move(hooks)) {}

Locks::~Locks() { stop(); }

void Locks::start() {
  {
    MutexLock lock(mutex_);
    refusing_ = stopped_ = false;
  }
  keeper_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
  renewer_ = std::jthread([this](const std::stop_token& stop) { renew(stop); });
}

void Locks::stop() {
  refuse();
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  if (keeper_.joinable()) keeper_.join();
  if (renewer_.joinable()) renewer_.join();
  // What is left goes with the session's row; whoever starts again has opened a new one.
  MutexLock lock(mutex_);
  ++incarnation_;
  held_.clear();
  targets_ = 0;
  dirty_ = retry_ = false;
}

void Locks::refuse() {
  std::vector<std::shared_ptr<LockWaiter>> left;
  {
    MutexLock lock(mutex_);
    refusing_ = true;
    for (const auto& waiter : waiters_) {
      if (waiter->state == LockWaiter::State::ended) continue;
      waiter->state = LockWaiter::State::ended;
      left.push_back(waiter);
    }
    waiters_.clear();
  }
  for (const auto& waiter : left) waiter->done(fail(ENOTCONN));
}

bool Locks::park(const std::shared_ptr<LockWaiter>& waiter) {
  MutexLock lock(mutex_);
  if (waiter->state == LockWaiter::State::ended) return false;
  if (refusing_) {
    waiter->state = LockWaiter::State::ended;
    lock.unlock();
    waiter->done(fail(ENOTCONN));
    return true;
  }
  waiter->state = LockWaiter::State::parked;
  waiter->since_ns = clock_.monotonic_ns();
  waiters_.push_back(waiter);
  // What it waits for may have been let go since it asked.
  retry_ = true;
  changed_.notify_all();
  return true;
}

bool Locks::give_up(const std::shared_ptr<LockWaiter>& waiter) {
  MutexLock lock(mutex_);
  if (waiter->state == LockWaiter::State::ended) return false;
  waiter->state = LockWaiter::State::ended;
  waiters_.erase(std::remove(waiters_.begin(), waiters_.end(), waiter), waiters_.end());
  // Its word in the database is taken back.
  held_[waiter->call.target].dirty = dirty_ = true;
  targets_ = held_.size();
  changed_.notify_all();
  return true;
}

Result<std::optional<LockConflict>> Locks::test(const LockCall& call) {
  {
    MutexLock lock(mutex_);
    const auto lost_at = lost_.find(call.target.ino);
    if (lost_at != lost_.end() && call.losses < lost_at->second) return fail(EIO, "the file's locks were lost");
  }
  SBOXFS_ASSIGN(std::optional<LockConflict> found, store_.test(call.target, call.range, call.type));
  if (found && found->session == self_ && wait_for_closing(call)) {
    SBOXFS_ASSIGN(found, store_.test(call.target, call.range, call.type));
  }
  if (found && found->session != self_ && !(hooks_.is_here && hooks_.is_here(found->session))) found->range.pid = 0;
  return found;
}

Status Locks::close_owner(Ino ino, std::uint64_t owner, std::uint64_t handle) {
  if (targets_.load(std::memory_order_relaxed) == 0) return {};
  LockCall call;
  call.target = {ino, LockKind::record, owner};
  call.handle = handle;
  call.losses = losses();
  {
    MutexLock lock(mutex_);
    for (auto at = held_.lower_bound({ino, LockKind::flock, 0}); at != held_.end() && at->first.ino == ino; ++at)
      if (at->second.handle == handle) at->second.closed_ns = clock_.monotonic_ns();
    const auto at = held_.find(call.target);
    if (at == held_.end() || (at->second.ranges.empty() && !at->second.busy)) return {};
  }
  // What fails here is put right by the keeper: close(2) need not wait until the database is back.
  return try_set(call, false, false, nullptr);
}

void Locks::close_handle(Ino ino, std::uint64_t handle) {
  if (targets_.load(std::memory_order_relaxed) == 0) return;
  MutexLock lock(mutex_);
  for (auto at = held_.lower_bound({ino, LockKind::flock, 0}); at != held_.end() && at->first.ino == ino; ++at) {
    Held& held = at->second;
    if (held.handle != handle || held.ranges.empty()) continue;
    held.ranges.clear();
    held.dirty = dirty_ = true;
  }
  if (dirty_) changed_.notify_all();
}

bool Locks::lost(Ino ino, std::uint64_t losses) const {
  if (losses_.load(std::memory_order_acquire) == losses) return false;
  MutexLock lock(mutex_);
  const auto at = lost_.find(ino);
  return at != lost_.end() && losses < at->second;
}

void Locks::lose(Targets& gone) {
  ++incarnation_;
  const std::uint64_t number = losses_.load(std::memory_order_relaxed) + 1;
  for (auto at = held_.begin(); at != held_.end();) {
    Held& held = at->second;
    if (!held.ranges.empty()) {
      gone.push_back(at->first);
      if (at->first.kind != LockKind::exec) lost_[at->first.ino] = number;
    }
    held.ranges.clear();
    at = held.busy || held.dirty ? std::next(at) : held_.erase(at);
  }
  targets_ = held_.size();
  losses_.store(number, std::memory_order_release);
  changed_.notify_all();
}

void Locks::tell(const Targets& gone) {
  if (gone.empty()) return;
  log::error("locks_lost: ", gone.size(), " locks were not renewed in time and were taken away: EIO on their files");
  if (hooks_.lost) hooks_.lost(gone);
}

LockTerms Locks::terms() const {
  LockTerms out{incarnation_, false, options_.lease_ns};
  for (const auto& [target, held] : held_) out.holds = out.holds || !held.ranges.empty();
  return out;
}

LockTerms Locks::next_terms() {
  LockTerms out = terms();
  out.call = ++last_call_;
  return out;
}

void Locks::number_anew(LockTerms& terms, bool fence) {
  MutexLock lock(mutex_);
  terms.call = ++last_call_;
  if (fence) terms.fence = terms.call;
}

Status Locks::confirm() {
  if (targets_.load(std::memory_order_relaxed) == 0) return {};
  return renew_once();
}

void Locks::on_news() {
  MutexLock lock(mutex_);
  if (waiters_.empty()) return;
  retry_ = true;
  changed_.notify_all();
}

std::size_t Locks::held() const {
  MutexLock lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(held_.begin(), held_.end(), [](const auto& item) { return !item.second.ranges.empty(); }));
}

}  // namespace sboxfs
