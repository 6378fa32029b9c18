#include <doctest/doctest.h>

#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

/// Moves the lease's end into the past, as if nobody had renewed it.
void expire(const StoreFixture& box) {
  PostgresFixture::shared().query(
      "UPDATE sboxfs.sandboxes SET lease_until = clock_timestamp() - interval '1 s' WHERE id = '" + box.id.text() +
      "'");
}

}  // namespace

TEST_CASE("lease: the first asker gets it with inode numbers; others are told who has it and are remembered") {
  StoreFixture box;
  const StoreContext b = box.other_session();
  PgLeaseStore other(b);
  const auto mine = box.lease.acquire(kLease, std::nullopt);
  REQUIRE(mine.ok());
  REQUIRE(mine->grant);
  CHECK(mine->grant->epoch == 1);
  CHECK(mine->grant->inos_from == 2);
  CHECK(mine->grant->inos_count == 65536);
  CHECK(mine->grant->stamp.version == 1);
  CHECK(mine->grant->database_wall_ns > 1'600'000'000 * kSecondNs);

  REQUIRE(other.open_session("b", "/b", 30 * kSecondNs).ok());
  const auto refused = other.acquire(kLease, std::nullopt);
  REQUIRE(refused.ok());
  CHECK(!refused->grant);
  CHECK(refused->state.writer == box.context.session);
  CHECK(refused->state.wanted_by == b.session);
  CHECK(refused->state.left_ns > 5 * kSecondNs);
  CHECK(box.lease.look()->wanted_by == b.session);

  const auto again = box.lease.acquire(kLease, std::nullopt);  // already ours: the epoch stays
  REQUIRE(again->grant);
  CHECK(again->grant->epoch == 1);
  CHECK(again->grant->inos_from == 2 + 65536);

  REQUIRE(box.lease.release(1).ok());
  CHECK(!box.lease.look()->writer);
  const auto taken = other.acquire(kLease, std::nullopt);
  REQUIRE(taken->grant);
  CHECK(taken->grant->epoch == 2);
  CHECK(!taken->state.wanted_by);
  CHECK(box.lease.renew(1, kLease).code() == ESTALE);
  REQUIRE(box.lease.release(1).ok());  // not ours: nothing happens
  CHECK(other.look()->writer == b.session);
}

TEST_CASE("lease: given up and taken again by the same session it keeps its epoch, and is not renewed meanwhile") {
  StoreFixture box;
  box.take_lease();
  REQUIRE(box.lease.release(1).ok());
  CHECK(box.lease.renew(1, kLease).code() == ESTALE);
  box.take_lease();
  CHECK(box.terms.epoch == 1);
  const auto renewed = box.lease.renew(1, 100 * kSecondNs);
  REQUIRE(renewed.ok());
  CHECK(renewed->left_ns > 90 * kSecondNs);
  CHECK(renewed->writer == box.context.session);
}

TEST_CASE("lease: askers that live are served in order; a dead one is not waited for") {
  StoreFixture box;
  box.take_lease();
  const StoreContext b = box.other_session();
  PgLeaseStore second(b);
  PgLeaseStore third(box.other_session());
  REQUIRE(second.open_session("b", "/b", 30 * kSecondNs).ok());
  CHECK(!second.acquire(kLease, std::nullopt)->grant);
  CHECK(third.acquire(kLease, std::nullopt)->state.wanted_by == b.session);
  REQUIRE(box.lease.release(1).ok());
  CHECK(!third.acquire(kLease, std::nullopt)->grant);
  CHECK(!box.lease.acquire(kLease, std::nullopt)->grant);  // nor may the last holder push in
  REQUIRE(second.close_session().ok());
  CHECK(third.acquire(kLease, std::nullopt)->grant);
}

TEST_CASE("lease: an expired one passes to another session, but not while Postgres has just started") {
  StoreFixture box;
  PgLeaseStore other(box.other_session());
  box.take_lease();
  expire(box);
  // Any lease longer than the server's life so far counts as "just started".
  const std::int64_t long_lease = 24 * 3600 * kSecondNs;
  CHECK(!other.acquire(long_lease, std::nullopt)->grant);
  CHECK(other.look()->left_ns == 0);
  box.commit(batch_of({file(10)}));  // nobody took it: it still commits
  expire(box);
  const auto dead = other.acquire(long_lease, box.context.session);
  REQUIRE(dead->grant);
  CHECK(dead->grant->epoch == 2);
  Batch late = batch_of({file(11)});
  late.id = Uuid::random();
  CHECK(box.sink.commit(late, box.terms).state == CommitState::fenced);

  expire(box);
  const auto taken = box.lease.acquire(kMillisecondNs, std::nullopt);
  REQUIRE(taken->grant);
  CHECK(taken->grant->epoch == 3);
  CHECK(taken->grant->stamp == box.terms.base);
}

TEST_CASE("lease: destroyed is ESTALE") {
  StoreFixture box;
  box.take_lease();
  REQUIRE(box.lease.open_session("a", "/a", 30 * kSecondNs).ok());
  REQUIRE(destroy_sandbox(*box.pool, box.tenant, box.id).ok());
  CHECK(box.lease.acquire(kLease, std::nullopt).code() == ESTALE);
  CHECK(box.lease.renew(1, kLease).code() == ESTALE);
  CHECK(box.lease.keep_session(1, {}, kLease).code() == ESTALE);
  CHECK(box.lease.open_session("a", "/a", kLease).code() == ESTALE);
}

TEST_CASE("session: opens at the current stamp, keeps its pins, dies once, and closes") {
  StoreFixture box;
  box.take_lease();
  const auto opened = box.lease.open_session("host", "/mnt/x", 30 * kSecondNs);
  REQUIRE(opened.ok());
  CHECK(opened.value() == box.terms.base);
  const auto pins = [&] {
    return PostgresFixture::shared().query("SELECT ino FROM sboxfs.pins WHERE sandbox = '" + box.id.text() +
                                           "' ORDER BY ino");
  };
  using Inos = std::vector<std::string>;
  REQUIRE(box.lease.keep_session(1, std::vector<Ino>{10, 11}, 30 * kSecondNs).ok());
  CHECK(pins() == Inos{"10", "11"});
  Batch batch = batch_of({file(12)});
  batch.orphans = {12};
  box.commit(batch);                                                              // version 2 pins 12
  REQUIRE(box.lease.keep_session(1, std::vector<Ino>{11}, 30 * kSecondNs).ok());  // has not seen version 2 yet
  CHECK(pins() == Inos{"11", "12"});
  REQUIRE(box.lease.keep_session(2, {}, 30 * kSecondNs).ok());
  CHECK(pins().empty());
  REQUIRE(box.lease.keep_session(2, std::vector<Ino>{12}, 0).ok());  // dead at once
  CHECK(box.lease.keep_session(2, std::vector<Ino>{13}, 30 * kSecondNs).code() == ESTALE);
  CHECK(pins() == Inos{"12"});
  REQUIRE(box.lease.close_session().ok());
  CHECK(pins().empty());
  CHECK(box.lease.keep_session(2, {}, 30 * kSecondNs).code() == ESTALE);
}
