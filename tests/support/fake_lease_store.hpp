// The rows of lease and sessions, beside a FakeStore; and each session's view of them.
//
//   FakeLeases leases(store, clock);              // the clock is the database's
//   FakeLeaseStore one(leases, Uuid::random()), two(leases, Uuid::random());
//   leases.fail(EIO) ... leases.recover();        // the database is away for leases and sessions
//   leases.hold_acquires() ... wait_for_held_acquire() ... let_acquires_go()
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fake_store.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/ports/lease_store.hpp"

namespace sboxfs::test {

/// Thread-safe. Lock order: this, then the store.
class FakeLeases {
 public:
  FakeLeases(FakeStore& store, const Clock& clock) : store_(store), clock_(clock) {}

  void fail(int code) EXCLUDES(mutex_);
  void recover() EXCLUDES(mutex_) { fail(0); }
  void hold_acquires() EXCLUDES(mutex_);
  void wait_for_held_acquire() EXCLUDES(mutex_);
  void let_acquires_go() EXCLUDES(mutex_);
  /// The same for renewals: a database that hangs.
  void hold_renewals() EXCLUDES(mutex_);
  void wait_for_held_renewal() EXCLUDES(mutex_);
  void let_renewals_go() EXCLUDES(mutex_);

  /// Who holds it, if it has not expired.
  std::optional<SessionId> writer() const EXCLUDES(mutex_);
  std::optional<SessionId> wanted_by() const EXCLUDES(mutex_);
  /// Writes wanted_by behind the holder's back.
  void want(const SessionId& session) EXCLUDES(mutex_);
  /// Somebody else takes it although it has not expired.
  void steal(const SessionId& session) EXCLUDES(mutex_);
  /// Calls that arrived: "acquire", "renew", "release", "look", "open", "keep", "close".
  std::size_t calls(const std::string& what) const EXCLUDES(mutex_);

  struct SessionRow {
    Version seen = 0;
    std::vector<Ino> pins;
    bool operator==(const SessionRow&) const = default;
  };
  std::optional<SessionRow> session(const SessionId& id) const EXCLUDES(mutex_);
  void declare_dead(const SessionId& id) EXCLUDES(mutex_);

 private:
  friend class FakeLeaseStore;
  struct Hold {
    bool on = false;
    unsigned waiting = 0;
  };
  Status arrive(const char* what) REQUIRES(mutex_);
  void wait(Hold& hold, MutexLock& lock) REQUIRES(mutex_);
  LeaseState state() const REQUIRES(mutex_);
  bool expired() const REQUIRES(mutex_) { return until_ns_ <= clock_.monotonic_ns(); }

  FakeStore& store_;
  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  int failure_ GUARDED_BY(mutex_) = 0;
  Hold acquires_ GUARDED_BY(mutex_);
  Hold renewals_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> calls_ GUARDED_BY(mutex_);
  std::optional<SessionId> writer_ GUARDED_BY(mutex_);  // also after it gave the lease up: it keeps its epoch
  std::int64_t until_ns_ GUARDED_BY(mutex_) = 0;
  std::optional<SessionId> wanted_by_ GUARDED_BY(mutex_);
  std::map<SessionId, SessionRow> sessions_ GUARDED_BY(mutex_);
};

/// Thread-safe.
class FakeLeaseStore final : public LeaseStore {
 public:
  FakeLeaseStore(FakeLeases& rows, SessionId self) : rows_(rows), self_(self) {}

  Result<LeaseAnswer> acquire(std::int64_t lease_ns, const std::optional<SessionId>& dead_holder) override;
  Result<LeaseState> renew(Epoch epoch, std::int64_t lease_ns) override;
  Status release(Epoch epoch) override;
  Result<LeaseState> look() override;
  Result<Stamp> open_session(const std::string& host, const std::string& mount_point, std::int64_t alive_ns) override;
  Status keep_session(Version seen, std::span<const Ino> pins, std::int64_t alive_ns) override;
  Status close_session() override;

 private:
  FakeLeases& rows_;
  const SessionId self_;
};

}  // namespace sboxfs::test
