// The lock rows of one sandbox, and each session's view of them: what Postgres does, in memory.
//
//   FakeLockRows rows;
//   FakeLockStore one(rows, a), two(rows, b);
//   rows.fail(EIO) ... rows.recover();      // the database is away; fail_after(EIO): it does what it is told, unheard
//   rows.hold() ... wait_for_held() ... let_go();   // calls hang
//   rows.expire(a);                         // a did not renew: whoever waits for it takes everything away
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/ports/lock_store.hpp"

namespace sboxfs::test {

/// Thread-safe.
class FakeLockRows {
 public:
  void fail(int code) EXCLUDES(mutex_);
  void fail_after(int code) EXCLUDES(mutex_);
  void recover() EXCLUDES(mutex_) { fail(0); }
  /// The next set() is EIO; it is carried out by arrive_late().
  void delay() EXCLUDES(mutex_);
  void arrive_late() EXCLUDES(mutex_);
  void hold() EXCLUDES(mutex_);
  void wait_for_held() EXCLUDES(mutex_);
  void let_go() EXCLUDES(mutex_);
  void expire(const SessionId& session) EXCLUDES(mutex_);
  /// The database crashed: grants and requests are forgotten, and nothing is granted until everybody has claimed.
  void crash() EXCLUDES(mutex_);
  /// Another session is alive: what is dirty must be committed first.
  void others_live(bool live) EXCLUDES(mutex_);
  /// What the next grants say of the sandbox.
  void writer(std::optional<SessionId> session, Stamp stamp) EXCLUDES(mutex_);

  /// Granted rows of a session; requests that wait, of all.
  std::vector<LockRange> granted(const SessionId& session, Ino ino) const EXCLUDES(mutex_);
  std::size_t waiting() const EXCLUDES(mutex_);
  /// Calls that arrived: "set", "test", "keep", "claim".
  std::size_t calls(const std::string& what) const EXCLUDES(mutex_);

 private:
  friend class FakeLockStore;
  struct Owner {
    SessionId session;
    LockTarget target;
    auto operator<=>(const Owner&) const = default;
  };
  struct Wish {
    LockRange range;
    LockType type = LockType::none;
  };
  Status arrive(const char* what, MutexLock& lock) REQUIRES(mutex_);
  std::optional<LockConflict> conflict(const Owner& who, const LockRange& range, LockType type) const REQUIRES(mutex_);
  bool circle(const Owner& from, const Owner& to, std::set<Owner>& visited) const REQUIRES(mutex_);
  LockOutcome hold_for(const SessionId& session, const LockTerms& terms) REQUIRES(mutex_);
  void take_away(const SessionId& session) REQUIRES(mutex_);
  LockOutcome carry_out(const Owner& who, const LockRequest& request, LockAnswer& answer) REQUIRES(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  int failure_ GUARDED_BY(mutex_) = 0;
  int late_failure_ GUARDED_BY(mutex_) = 0;
  bool delays_ GUARDED_BY(mutex_) = false;
  std::function<void()> delayed_ GUARDED_BY(mutex_);
  bool held_ GUARDED_BY(mutex_) = false;
  unsigned hanging_ GUARDED_BY(mutex_) = 0;
  bool others_ GUARDED_BY(mutex_) = false;
  std::optional<SessionId> writer_ GUARDED_BY(mutex_);
  Stamp stamp_ GUARDED_BY(mutex_);
  std::map<SessionId, std::int64_t> holders_ GUARDED_BY(mutex_);  // incarnations
  std::map<SessionId, std::int64_t> fences_ GUARDED_BY(mutex_);
  std::set<SessionId> expired_ GUARDED_BY(mutex_);
  std::set<SessionId> unheard_ GUARDED_BY(mutex_);  // have not claimed since the crash
  std::map<Owner, std::vector<LockRange>> rows_ GUARDED_BY(mutex_);
  std::map<Owner, Wish> wishes_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> calls_ GUARDED_BY(mutex_);
};

/// Thread-safe.
class FakeLockStore final : public LockStore {
 public:
  FakeLockStore(FakeLockRows& rows, SessionId self) : rows_(rows), self_(self) {}
  Result<LockAnswer> set(const LockRequest& request, const LockTerms& terms) override;
  Result<std::optional<LockConflict>> test(const LockTarget& target, const LockRange& range, LockType type) override;
  Result<LockOutcome> keep(const LockTerms& terms) override;
  Result<LockOutcome> claim(const std::vector<LockClaim>& held, const LockTerms& terms) override;

 private:
  FakeLockRows& rows_;
  const SessionId self_;
};

}  // namespace sboxfs::test
