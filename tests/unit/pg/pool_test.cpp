#include "sboxfs/pg/pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "postgres_fixture.hpp"
#include "sboxfs/base/blocking.hpp"
#include "sboxfs/pg/admin_connection.hpp"

using namespace sboxfs;
using sboxfs::test::PostgresFixture;

namespace {

PgOptions options() {
  PgOptions out;
  out.conninfo = PostgresFixture::shared().conninfo();
  return out;
}

constexpr PgStatement kEcho{"echo", "SELECT $1, $2, $3, $4, $5, $6, $7, $8"};
constexpr PgStatement kPid{"pid", "SELECT pg_backend_pid()"};
constexpr PgStatement kSleep{"sleep", "SELECT 1 FROM pg_sleep(20)"};
constexpr PgStatement kDivide{"divide", "SELECT 1 / $1::bigint"};
constexpr PgStatement kKillSelf{"kill_self", "SELECT pg_terminate_backend(pg_backend_pid())"};

/// A request that is interrupted from another thread.
class Interruptible final : public BlockingObserver {
 public:
  void before_wait() override { ++waits; }
  void after_wait() override {}
  bool interrupted() const override { return flag; }
  std::atomic<bool> flag{false};
  std::atomic<int> waits{0};
};

}  // namespace

TEST_CASE("pool: binary parameters come back as they were") {
  PgPool pool(options());
  const std::string bytes("a\0\xff'\\", 5);
  const Uuid uuid = Uuid::random();
  const std::vector<std::int64_t> numbers{1, -2, INT64_MAX};
  const std::vector<std::string> names{"", bytes};
  const auto same = [](const auto& x) { return x; };
  for (int round = 0; round < 2; ++round) {  // the first prepares, the second uses what was prepared
    PgParams params;
    params.int8(INT64_MIN).int4(-7).bytea(bytes).uuid(uuid).int8s(numbers, same).byteas(names, same);
    params.int4s(std::vector<std::uint32_t>{0xffffffffU}, same).null_uuid();
    const PgAnswer answer = pool.run(kEcho, params);
    REQUIRE(answer.ok());
    const PgRows& rows = answer.rows();
    CHECK(rows.int8(0, 0) == INT64_MIN);
    CHECK(rows.int4(0, 1) == -7);
    CHECK(rows.bytes(0, 2) == bytes);
    CHECK(rows.uuid(0, 3) == uuid);
    CHECK(rows.int8s(0, 4) == numbers);
    const auto read = rows.byteas(0, 5);
    REQUIRE(read.size() == 2);
    CHECK(read[0].empty());
    CHECK(read[1] == bytes);
    CHECK(static_cast<std::uint32_t>(rows.int4s(0, 6).at(0)) == 0xffffffffU);
    CHECK(rows.is_null(0, 7));
  }
  CHECK(pool.open_connections() == 1);
}

TEST_CASE("pool: without prepared statements (pooler) the same statements work") {
  PgOptions through = options();
  through.pooler = true;
  PgPool pool(through);
  PgParams params;
  params.int8(4);
  for (int round = 0; round < 2; ++round) CHECK(pool.run({"d", "SELECT 8 / $1"}, params).rows().int8(0, 0) == 2);
}

TEST_CASE("pool: an error of the server is refused, keeps its SQLSTATE and the connection") {
  PgPool pool(options());
  PgParams one;
  one.int8(1);
  REQUIRE(pool.run(kDivide, one).ok());
  const std::int32_t pid = pool.run(kPid, {}).rows().int4(0, 0);
  PgParams zero;
  zero.int8(0);
  const PgAnswer answer = pool.run(kDivide, zero);
  REQUIRE(!answer.ok());
  CHECK(answer.failure().outcome == PgOutcome::refused);
  CHECK(answer.failure().sqlstate == "22012");
  CHECK(pool.run(kPid, {}).rows().int4(0, 0) == pid);
}

TEST_CASE("pool: a connection cut while it lay idle is replaced without the caller noticing") {
  PgPool pool(options());
  const std::int32_t pid = pool.run(kPid, {}).rows().int4(0, 0);
  PostgresFixture::shared().query("SELECT pg_terminate_backend(" + std::to_string(pid) + ", 5000)");
  const PgAnswer answer = pool.run(kPid, {}, {.repeatable = false});
  REQUIRE(answer.ok());
  CHECK(answer.rows().int4(0, 0) != pid);
}

TEST_CASE("pool: connections that are cut several times in a row do not fail what may be repeated") {
  PostgresFixture::shared().query("CREATE SEQUENCE public.cuts; GRANT USAGE ON public.cuts TO PUBLIC");
  PgPool pool(options());
  static constexpr PgStatement kCutThrice{
      "cut",
      "SELECT CASE WHEN nextval('public.cuts') <= 3 THEN pg_terminate_backend(pg_backend_pid())::int::bigint "
      "ELSE 7::bigint END"};
  const PgAnswer answer = pool.run(kCutThrice, {});
  REQUIRE(answer.ok());
  CHECK(answer.rows().int8(0, 0) == 7);
  // For ever is another matter.
  CHECK(pool.run(kKillSelf, {}).failure().outcome == PgOutcome::in_doubt);
}

TEST_CASE("pool: a connection cut during a statement leaves it in doubt") {
  PgPool pool(options());
  const PgAnswer answer = pool.run(kKillSelf, {}, {.repeatable = false});
  REQUIRE(!answer.ok());
  CHECK(answer.failure().outcome == PgOutcome::in_doubt);
  CHECK(pool.open_connections() == 0);
}

TEST_CASE("pool: a hanging server costs the time-out, and an interrupted request does not wait for it") {
  PgOptions impatient = options();
  impatient.io_timeout_ns = 300 * kMillisecondNs;
  PgPool pool(impatient);
  REQUIRE(pool.run(kPid, {}).ok());
  PostgresFixture::shared().pause();
  const PgAnswer late = pool.run(kPid, {});
  Interruptible request;
  PgFailure interrupted;
  std::thread reader([&] {
    PgPool patient(options());
    set_blocking_observer(&request);
    interrupted = patient.run(kSleep, {}).failure();
    set_blocking_observer(nullptr);
  });
  while (request.waits == 0) std::this_thread::yield();
  request.flag = true;
  reader.join();
  PostgresFixture::shared().resume();
  REQUIRE(!late.ok());
  CHECK(late.failure().outcome == PgOutcome::in_doubt);
  CHECK(interrupted.outcome == PgOutcome::interrupted);
  CHECK(to_error(interrupted).code == EINTR);
  CHECK(pool.run(kPid, {}).ok());
}

TEST_CASE("pool: more callers than connections wait for one to come back") {
  PgOptions narrow = options();
  narrow.max_connections = 1;
  narrow.io_timeout_ns = 200 * kMillisecondNs;
  PgPool pool(narrow);
  auto held = pool.acquire(pool.deadline());
  REQUIRE(held.index() == 0);
  const PgAnswer answer = pool.run(kPid, {});
  REQUIRE(!answer.ok());
  CHECK(answer.failure().outcome == PgOutcome::unreachable);
  { const PgPool::Loan back = std::move(*std::get_if<0>(&held)); }
  CHECK(pool.run(kPid, {}).ok());
  pool.close_idle();
  CHECK(pool.open_connections() == 0);
}

TEST_CASE("pool: an unknown role is refused, a missing server unreachable, and no message holds the password") {
  PgOptions wrong = options();
  wrong.conninfo =
      "host=" + PostgresFixture::shared().socket_dir() + " user=nobody_here password=hunter2 dbname=postgres";
  PgPool stranger(wrong);
  const PgAnswer refused = stranger.run(kPid, {});
  REQUIRE(!refused.ok());
  CHECK(refused.failure().outcome == PgOutcome::refused);
  CHECK(to_error(refused.failure()).code == EACCES);
  CHECK(refused.failure().message.find("hunter2") == std::string::npos);
  wrong.conninfo = "host=/nonexistent user=x password=hunter2";
  PgPool nowhere(wrong);
  const PgAnswer unreachable = nowhere.run(kPid, {});
  REQUIRE(!unreachable.ok());
  CHECK(unreachable.failure().outcome == PgOutcome::unreachable);
  CHECK(unreachable.failure().message.find("hunter2") == std::string::npos);
}

TEST_CASE("admin connection: a failing body rolls back, a good one commits; errors have their errno") {
  auto admin = AdminConnection::connect(options());
  REQUIRE(admin.ok());
  AdminConnection& connection = *admin.value();
  const Status bad = connection.transaction([](AdminTransaction& t) -> Status {
    SBOXFS_TRY(t.script("CREATE TABLE rolled_back (x int)"));
    return t.script("SELECT * FROM no_such_table");
  });
  CHECK(bad.code() == EPROTO);
  std::optional<std::string> found("unset");
  const Status good = connection.transaction([&](AdminTransaction& t) -> Status {
    SBOXFS_ASSIGN(auto rows, t.query("SELECT to_regclass($1)", {"rolled_back"}));
    found = rows.at(0).at(0);
    return {};
  });
  CHECK(good.ok());
  CHECK(!found);
}

TEST_CASE("admin connection: the watchdog cuts a hanging server off") {
  PgOptions impatient = options();
  impatient.io_timeout_ns = 300 * kMillisecondNs;
  auto admin = AdminConnection::connect(impatient);
  REQUIRE(admin.ok());
  CHECK(admin.value()->transaction([](AdminTransaction& t) { return t.script("SELECT pg_sleep(20)"); }).code() == EIO);
}
