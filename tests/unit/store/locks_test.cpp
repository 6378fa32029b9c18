#include <doctest/doctest.h>

#include <thread>

#include "sboxfs/store/janitor.hpp"
#include "sboxfs/store/pg_lock_store.hpp"
#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// One owner of one session, with what it holds of one inode.
struct Locker {
  Locker(const StoreContext& context, std::uint64_t number, LockKind kind = LockKind::record, Ino ino = 5)
      : store(context), session(context.session), target{ino, kind, number} {}

  Result<LockAnswer> set(LockType type, std::uint64_t start = 0, std::uint64_t stop = kLockEnd, bool wait = false,
                         std::optional<SessionId> dead = std::nullopt) {
    LockRequest request;
    request.target = target;
    request.range = {start, stop, type == LockType::exclusive, 42};
    request.type = type;
    request.after = lock_ranges_after(held, request.range, type);
    request.wait = wait;
    request.polite_ns = polite ? 100 * kMillisecondNs : 0;
    request.dirty = dirty;
    request.dead = dead;
    Result<LockAnswer> answer = store.set(request, terms);
    if (answer.ok() && answer->outcome == LockOutcome::done) {
      held = request.after;
      terms.holds = true;
    }
    return answer;
  }
  LockOutcome outcome(LockType type, std::uint64_t start = 0, std::uint64_t stop = kLockEnd, bool wait = false,
                      std::optional<SessionId> dead = std::nullopt) {
    const auto answer = set(type, start, stop, wait, dead);
    INFO(answer.code());
    REQUIRE(answer.ok());
    return answer->outcome;
  }

  PgLockStore store;
  SessionId session;
  LockTarget target;
  std::vector<LockRange> held;
  LockTerms terms{1, false, kLease};
  bool polite = false;
  bool dirty = false;
};

constexpr LockType kNone = LockType::none, kShared = LockType::shared, kExclusive = LockType::exclusive;

/// Moves the end of a session's hold into the past.
void expire(const Locker& locker) {
  PostgresFixture::shared().query(
      "UPDATE sboxfs.lock_holders SET until = clock_timestamp() - interval '1 s' WHERE session = '" +
      locker.session.text() + "'");
}

/// What a restart of Postgres is to a session: the one that knew its locks is another one.
void restart(const Locker& locker) {
  PostgresFixture::shared().query(
      "UPDATE sboxfs.lock_holders SET server_start = server_start - interval '1 s' WHERE session = '" +
      locker.session.text() + "'");
}

std::vector<std::string> rows(const StoreFixture& box) {
  return PostgresFixture::shared().query(
      "SELECT concat_ws(' ', kind, ino, start, stop, exclusive, waiting) FROM sboxfs.locks WHERE sandbox = '" +
      box.id.text() + "' ORDER BY ino, start, waiting");
}
using Rows = std::vector<std::string>;

}  // namespace

TEST_CASE("locks: exclusive excludes others, shared excludes exclusive, and the conflict is named") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  const auto granted = a.set(kExclusive);
  REQUIRE(granted.ok());
  CHECK(granted->outcome == LockOutcome::done);
  CHECK(granted->stamp.version == 1);
  CHECK(!granted->writer);
  const auto refused = b.set(kShared, 10, 19);
  REQUIRE(refused.ok());
  CHECK(refused->outcome == LockOutcome::conflict);
  REQUIRE(refused->conflict);
  CHECK(refused->conflict->session == a.session);
  CHECK(refused->conflict->owner == 1);
  CHECK(refused->conflict->range == LockRange{0, kLockEnd, true, 42});
  CHECK(b.store.test(b.target, {3, 3, false, 0}, kShared).value()->session == a.session);
  CHECK(!a.store.test(a.target, {3, 3, false, 0}, kExclusive).value());
  CHECK(a.outcome(kShared) == LockOutcome::done);
  CHECK(b.outcome(kShared, 10, 19) == LockOutcome::done);
  CHECK(a.outcome(kExclusive) == LockOutcome::conflict);
  CHECK(a.outcome(kExclusive, 20, kLockEnd) == LockOutcome::done);  // beside it
  CHECK(rows(box) == Rows{"2 5 0 19 f f", "2 5 10 19 f f", "2 5 20 9223372036854775807 t f"});
  CHECK(a.outcome(kNone) == LockOutcome::done);
  CHECK(b.outcome(kNone) == LockOutcome::done);
  CHECK(rows(box).empty());
}

TEST_CASE("locks: kinds, inodes, sandboxes and owners of one session are apart") {
  StoreFixture box, other_box;
  Locker record(box.context, 1), flock(box.context, 1, LockKind::flock), file(box.context, 1, LockKind::record, 6),
      elsewhere(other_box.context, 1), thread(box.context, 2);
  CHECK(record.outcome(kExclusive) == LockOutcome::done);
  CHECK(flock.outcome(kExclusive) == LockOutcome::done);
  CHECK(file.outcome(kExclusive) == LockOutcome::done);
  CHECK(elsewhere.outcome(kExclusive) == LockOutcome::done);
  CHECK(thread.outcome(kExclusive) == LockOutcome::conflict);
}

TEST_CASE("locks: letting go tells whether somebody waits; a waiting request leaves with its grant") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  CHECK(!a.set(kShared)->wakes);
  CHECK(b.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::conflict);
  CHECK(b.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::conflict);  // asks again: one row
  CHECK(rows(box).size() == 2);
  CHECK(a.set(kNone)->wakes);
  CHECK(b.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::done);
  CHECK(rows(box) == Rows{"2 5 0 9223372036854775807 t f"});
  // A waiter that was interrupted takes its request back.
  CHECK(a.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::conflict);
  CHECK(a.outcome(kNone) == LockOutcome::done);
  CHECK(!b.set(kNone)->wakes);
  CHECK(rows(box).empty());
}

TEST_CASE("locks: a circle of two and of three owners is refused at its last link, also when both ask at once") {
  StoreFixture box;
  for (const int owners : {2, 3}) {
    std::vector<std::unique_ptr<Locker>> lockers;
    for (int i = 0; i < owners; ++i) {
      lockers.push_back(std::make_unique<Locker>(box.other_session(), 1));
      REQUIRE(lockers.back()->outcome(kExclusive, i, i) == LockOutcome::done);
    }
    for (int i = 0; i < owners; ++i) {
      const int next = (i + 1) % owners;
      const LockOutcome wanted = next == 0 ? LockOutcome::deadlock : LockOutcome::conflict;
      CHECK(lockers[i]->outcome(kExclusive, next, next, true) == wanted);
    }
    for (auto& locker : lockers) CHECK(locker->outcome(kNone) == LockOutcome::done);
  }
  constexpr int kRounds = 50;
  for (int round = 0; round < kRounds; ++round) {
    Locker a(box.other_session(), 1), b(box.other_session(), 1);
    REQUIRE(a.outcome(kExclusive, 0, 0) == LockOutcome::done);
    REQUIRE(b.outcome(kExclusive, 1, 1) == LockOutcome::done);
    Result<LockAnswer> left = fail(EIO);
    std::thread other([&] { left = a.set(kExclusive, 1, 1, true); });
    const auto right = b.set(kExclusive, 0, 0, true);
    other.join();
    REQUIRE(left.ok());
    REQUIRE(right.ok());
    const bool first = left->outcome == LockOutcome::deadlock;
    CHECK(first != (right->outcome == LockOutcome::deadlock));
    CHECK(a.outcome(kNone) == LockOutcome::done);
    CHECK(b.outcome(kNone) == LockOutcome::done);
  }
  CHECK(rows(box).empty());
  MESSAGE(kRounds, " pairs that asked at once");
}

TEST_CASE("locks: flock has no deadlocks, and a conversion in conflict lets the old lock go") {
  StoreFixture box;
  Locker a(box.context, 1, LockKind::flock), b(box.other_session(), 1, LockKind::flock);
  REQUIRE(a.outcome(kShared) == LockOutcome::done);
  REQUIRE(b.outcome(kShared) == LockOutcome::done);
  CHECK(a.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::conflict);
  a.held.clear();
  CHECK(b.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::done);
}

TEST_CASE("locks: who waits longer and could be granted goes first, if the asker is polite and waits") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  REQUIRE(b.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::conflict);
  REQUIRE(a.outcome(kNone) == LockOutcome::done);
  PostgresFixture::shared().query("UPDATE sboxfs.locks SET asked_at = asked_at - interval '1 s' WHERE waiting");
  a.polite = true;
  CHECK(a.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::turn);
  CHECK(a.outcome(kExclusive) == LockOutcome::done);  // who does not wait is not sent away for nothing
  CHECK(a.outcome(kNone) == LockOutcome::done);
  CHECK(b.outcome(kExclusive, 0, kLockEnd, true) == LockOutcome::done);
}

TEST_CASE("locks: who did not renew loses everything to whoever is kept waiting, the right to write too, and is told") {
  StoreFixture box;
  Locker a(box.context, 1), a6(box.context, 1, LockKind::record, 6), b(box.other_session(), 1);
  box.take_lease();
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  a6.terms.holds = true;
  REQUIRE(a6.outcome(kExclusive) == LockOutcome::done);
  b.terms.lease_ns = kMillisecondNs;  // any longer, and Postgres has only just started
  CHECK(b.outcome(kShared) == LockOutcome::conflict);
  expire(a);
  CHECK(!b.store.test(b.target, {0, 9, false, 0}, kShared).value());
  CHECK(a.store.keep(a.terms).value() == LockOutcome::done);  // nobody took them: they go on
  expire(a);
  b.terms.lease_ns = 24 * 3600 * kSecondNs;
  CHECK(b.outcome(kShared) == LockOutcome::conflict);
  b.terms.lease_ns = kMillisecondNs;
  CHECK(b.outcome(kShared) == LockOutcome::done);
  CHECK(rows(box) == Rows{"2 5 0 9223372036854775807 f f"});
  CHECK(a.store.keep(a.terms).value() == LockOutcome::lost);
  CHECK(a6.outcome(kNone) == LockOutcome::lost);
  Batch late = batch_of({file(11)});
  late.id = Uuid::random();
  CHECK(box.sink.commit(late, box.terms).state == CommitState::fenced);
  // As a new incarnation it may lock again; a call of the old one that comes late does nothing.
  a6.held.clear();
  LockTerms old = a6.terms;
  a6.terms = {2, false, kLease};
  CHECK(a6.outcome(kExclusive) == LockOutcome::done);
  std::swap(old, a6.terms);
  CHECK(a6.outcome(kNone) == LockOutcome::lost);
  old.holds = true;
  CHECK(a.store.keep(old).value() == LockOutcome::done);
}

TEST_CASE("locks: behind a fence, calls with lower numbers do nothing") {
  StoreFixture box;
  Locker a(box.context, 1), other(box.context, 2);
  a.terms.call = 5;
  REQUIRE(a.outcome(kExclusive, 0, 9) == LockOutcome::done);
  a.terms.call = a.terms.fence = 8;
  REQUIRE(a.outcome(kNone) == LockOutcome::done);
  other.terms.call = 7;
  CHECK(other.outcome(kExclusive, 0, 9) == LockOutcome::late);
  CHECK(rows(box).empty());
  CHECK(a.store.keep(a.terms).value() == LockOutcome::done);
  other.terms.call = 9;
  CHECK(other.outcome(kExclusive, 0, 9) == LockOutcome::done);
}

TEST_CASE("locks: a session that is proved dead is not waited for") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  CHECK(b.outcome(kExclusive, 0, kLockEnd, false, Uuid::random()) == LockOutcome::conflict);
  CHECK(b.outcome(kExclusive, 0, kLockEnd, false, a.session) == LockOutcome::done);
  CHECK(a.outcome(kNone) == LockOutcome::lost);
}

TEST_CASE("locks: what is not committed holds up letting go while another session lives") {
  StoreFixture box;
  Locker a(box.context, 1);
  a.dirty = true;
  CHECK(a.outcome(kExclusive) == LockOutcome::done);
  CHECK(a.outcome(kNone) == LockOutcome::done);
  PgLeaseStore other(box.other_session());
  REQUIRE(other.open_session("b", "/b", 30 * kSecondNs).ok());
  a.dirty = false;
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  a.dirty = true;
  CHECK(a.outcome(kNone) == LockOutcome::commit_first);
  CHECK(rows(box).size() == 1);
  a.dirty = false;
  CHECK(a.outcome(kNone) == LockOutcome::done);
}

TEST_CASE("locks: they go with the session's row, at its end and with the janitor's; destroyed is ESTALE") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  REQUIRE(box.lease.open_session("a", "/a", 30 * kSecondNs).ok());
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  REQUIRE(box.lease.close_session().ok());
  CHECK(rows(box).empty());
  REQUIRE(box.lease.open_session("a", "/a", -kSecondNs).ok());
  a.terms.holds = false;
  REQUIRE(a.outcome(kExclusive) == LockOutcome::done);
  REQUIRE(delete_dead_sessions(*box.pool, box.tenant, 100, 0).ok());
  CHECK(rows(box).empty());
  CHECK(b.outcome(kExclusive) == LockOutcome::done);
  REQUIRE(destroy_sandbox(*box.pool, box.tenant, box.id).ok());
  CHECK(b.set(kNone).code() == ESTALE);
}

TEST_CASE("locks: after a restart whoever held something claims it first; nobody is granted anything before") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  REQUIRE(a.outcome(kExclusive, 0, 9) == LockOutcome::done);
  restart(a);
  // What was granted last was not on disk yet, and something that was let go is back.
  PostgresFixture::shared().query("UPDATE sboxfs.locks SET start = 100, stop = 109 WHERE session = '" +
                                  a.session.text() + "'");
  const auto refused = b.set(kExclusive, 0, 9);
  REQUIRE(refused.ok());
  CHECK(refused->outcome == LockOutcome::settling);
  CHECK(refused->conflict->session == a.session);
  CHECK(b.outcome(kNone) == LockOutcome::done);
  CHECK(a.store.keep(a.terms).value() == LockOutcome::restarted);
  CHECK(a.outcome(kNone) == LockOutcome::restarted);
  CHECK(a.store.claim({{a.target, {0, 9, true, 42}}}, a.terms).value() == LockOutcome::done);
  CHECK(rows(box) == Rows{"2 5 0 9 t f"});
  CHECK(a.store.keep(a.terms).value() == LockOutcome::done);
  CHECK(b.outcome(kExclusive, 0, 9) == LockOutcome::conflict);
  CHECK(b.outcome(kExclusive, 100, 109) == LockOutcome::done);
}

TEST_CASE("locks: who is proved dead, or whose time is over, after a restart loses everything, and can not claim it") {
  StoreFixture box;
  Locker a(box.context, 1), b(box.other_session(), 1);
  REQUIRE(a.outcome(kExclusive, 0, 9) == LockOutcome::done);
  restart(a);
  CHECK(b.outcome(kExclusive, 20, 29, false, a.session) == LockOutcome::done);
  CHECK(a.store.claim({{a.target, {0, 9, true, 42}}}, a.terms).value() == LockOutcome::lost);
  CHECK(a.store.keep(a.terms).value() == LockOutcome::lost);
  restart(b);
  expire(b);
  Locker c(box.other_session(), 1);
  c.terms.lease_ns = 3600 * kSecondNs;
  CHECK(c.outcome(kExclusive, 20, 29) == LockOutcome::settling);  // this Postgres is young: it may still be heard of
  c.terms.lease_ns = kMillisecondNs;
  CHECK(c.outcome(kExclusive, 20, 29) == LockOutcome::done);
}
