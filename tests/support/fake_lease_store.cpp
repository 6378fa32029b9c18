#include "fake_lease_store.hpp"

#include <algorithm>
#include <chrono>

#include "sboxfs/base/blocking.hpp"

namespace sboxfs::test {
namespace {
constexpr std::uint64_t kInosAtOnce = 100;
}

void FakeLeases::fail(int code) {
  MutexLock lock(mutex_);
  failure_ = code;
}

void FakeLeases::hold_acquires() {
  MutexLock lock(mutex_);
  acquires_.on = true;
}
void FakeLeases::wait_for_held_acquire() {
  MutexLock lock(mutex_);
  while (acquires_.waiting == 0) changed_.wait(lock);
}
void FakeLeases::let_acquires_go() {
  MutexLock lock(mutex_);
  acquires_.on = false;
  changed_.notify_all();
}
void FakeLeases::hold_renewals() {
  MutexLock lock(mutex_);
  renewals_.on = true;
}
void FakeLeases::wait_for_held_renewal() {
  MutexLock lock(mutex_);
  while (renewals_.waiting == 0) changed_.wait(lock);
}
void FakeLeases::let_renewals_go() {
  MutexLock lock(mutex_);
  renewals_.on = false;
  changed_.notify_all();
}

std::optional<SessionId> FakeLeases::writer() const {
  MutexLock lock(mutex_);
  return expired() ? std::nullopt : writer_;
}

std::optional<SessionId> FakeLeases::wanted_by() const {
  MutexLock lock(mutex_);
  return wanted_by_;
}

void FakeLeases::want(const SessionId& session) {
  MutexLock lock(mutex_);
  wanted_by_ = session;
}

void FakeLeases::steal(const SessionId& session) {
  MutexLock lock(mutex_);
  writer_ = session;
  until_ns_ = clock_.monotonic_ns() + 10 * kSecondNs;
  store_.take_epoch();
}

std::size_t FakeLeases::calls(const std::string& what) const {
  MutexLock lock(mutex_);
  const auto at = calls_.find(what);
  return at == calls_.end() ? 0 : at->second;
}

std::optional<FakeLeases::SessionRow> FakeLeases::session(const SessionId& id) const {
  MutexLock lock(mutex_);
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return std::nullopt;
  return at->second;
}

void FakeLeases::declare_dead(const SessionId& id) {
  MutexLock lock(mutex_);
  sessions_.erase(id);
}

Status FakeLeases::arrive(const char* what) {
  ++calls_[what];
  if (failure_ != 0) return sboxfs::fail(failure_, "a failure the test asked for");
  return {};
}

void FakeLeases::wait(Hold& hold, MutexLock& lock) {
  ++hold.waiting;
  changed_.notify_all();
  while (hold.on && !BlockingSection::interrupted()) changed_.wait_for(lock, std::chrono::milliseconds(20));
  --hold.waiting;
}

LeaseState FakeLeases::state() const {
  const FakeStore::Rows rows = store_.rows();
  LeaseState out;
  if (!expired()) out.writer = writer_;
  out.wanted_by = wanted_by_;
  out.epoch = rows.epoch;
  out.stamp = rows.stamp;
  out.published_version = rows.published_version;
  out.destroyed = rows.destroyed;
  out.left_ns = std::max<std::int64_t>(0, until_ns_ - clock_.monotonic_ns());
  out.database_wall_ns = clock_.wall_ns();
  return out;
}

Result<LeaseAnswer> FakeLeaseStore::acquire(std::int64_t lease_ns, const std::optional<SessionId>& dead_holder) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("acquire"));
  rows_.wait(rows_.acquires_, lock);
  if (BlockingSection::interrupted()) return fail(EINTR);
  LeaseAnswer out;
  out.state = rows_.state();
  if (out.state.destroyed) return fail(ESTALE, "the sandbox was destroyed");
  const bool ours = rows_.writer_ == self_;
  const bool asked_first = rows_.wanted_by_ && *rows_.wanted_by_ != self_;
  const bool free = rows_.expired() || (dead_holder && rows_.writer_ == dead_holder);
  if (!(ours && !rows_.expired()) && !(free && !asked_first)) {
    if (!asked_first) rows_.wanted_by_ = self_;
    return out;
  }
  if (!ours) rows_.store_.take_epoch();
  rows_.writer_ = self_;
  rows_.until_ns_ = rows_.clock_.monotonic_ns() + lease_ns;
  if (!asked_first) rows_.wanted_by_.reset();
  out.state = rows_.state();
  out.grant = LeaseGrant{out.state.epoch, out.state.stamp,        rows_.store_.reserve_inos(kInosAtOnce),
                         kInosAtOnce,     rows_.clock_.wall_ns(), out.state.published_version};
  return out;
}

Result<LeaseState> FakeLeaseStore::renew(Epoch epoch, std::int64_t lease_ns) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("renew"));
  rows_.wait(rows_.renewals_, lock);
  if (rows_.writer_ != self_ || rows_.state().epoch != epoch) return fail(ESTALE, "the lease is no longer ours");
  rows_.until_ns_ = rows_.clock_.monotonic_ns() + lease_ns;
  return rows_.state();
}

Status FakeLeaseStore::release(Epoch epoch) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("release"));
  if (rows_.writer_ == self_ && rows_.state().epoch == epoch) rows_.until_ns_ = 0;
  return {};
}

Result<LeaseState> FakeLeaseStore::look() {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("look"));
  return rows_.state();
}

Result<Stamp> FakeLeaseStore::open_session(const std::string&, const std::string&, std::int64_t) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("open"));
  const LeaseState now = rows_.state();
  if (now.destroyed) return fail(ESTALE, "the sandbox was destroyed");
  rows_.sessions_[self_] = {now.stamp.version, {}};
  return now.stamp;
}

Status FakeLeaseStore::keep_session(Version seen, std::span<const Ino> pins, std::int64_t) {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("keep"));
  const auto at = rows_.sessions_.find(self_);
  if (at == rows_.sessions_.end()) return fail(ESTALE, "the session was declared dead");
  at->second.pins.assign(pins.begin(), pins.end());
  at->second.seen = std::max(at->second.seen, seen);
  return {};
}

Status FakeLeaseStore::close_session() {
  MutexLock lock(rows_.mutex_);
  SBOXFS_TRY(rows_.arrive("close"));
  rows_.sessions_.erase(self_);
  return {};
}

}  // namespace sboxfs::test
