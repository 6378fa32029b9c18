// The life of the private services, with the real servers in a temporary home.
#include "sboxfs/services/services.hpp"

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include <csignal>
#include <memory>
#include <thread>

#include "sboxfs/base/text_file.hpp"
#include "sboxfs/services/process.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;

namespace {

/// Stops the services before the directory goes.
struct TestHome {
  test::TempDir dir;
  Home home{dir.path() + "/home"};
  ~TestHome() { CHECK(stop_services(home).ok()); }
};

std::string ask(const std::string& conninfo, const char* sql) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(::PQconnectdb(conninfo.c_str()), &PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> answer(::PQexec(connection.get(), sql), &PQclear);
  return ::PQntuples(answer.get()) == 1 ? ::PQgetvalue(answer.get(), 0, 0) : ::PQerrorMessage(connection.get());
}

void kill_and_wait(pid_t pid, const std::string& cwd) {
  const auto process = RunningProcess::find(pid, cwd);
  REQUIRE(process.ok());
  REQUIRE(process->signal(SIGKILL).ok());
  REQUIRE(process->ended(10'000));
}

}  // namespace

TEST_CASE("services: a start makes a durable database that no TCP port leads to, a second start changes nothing") {
  const TestHome test;
  const auto addresses = start_services(test.home);
  REQUIRE_MESSAGE(addresses.ok(), addresses.error().what);
  const std::string& admin = addresses->admin_postgres;
  CHECK(ask(admin, "SHOW fsync") == "on");
  CHECK(ask(admin, "SHOW full_page_writes") == "on");
  CHECK(ask(admin, "SHOW synchronous_commit") == "on");
  CHECK(ask(admin, "SHOW listen_addresses") == "");
  CHECK(ask(admin, "SELECT count(*) FROM pg_class WHERE relpersistence = 'u'") == "0");

  const ServiceStatus before = service_status(test.home);
  CHECK(before.postgres > 0);
  CHECK(before.redis > 0);
  CHECK(start_services(test.home).ok());
  CHECK(service_status(test.home).postgres == before.postgres);
  CHECK(service_status(test.home).redis == before.redis);

  CHECK(stop_services(test.home).ok());
  CHECK(service_status(test.home).postgres == 0);
  CHECK(service_status(test.home).redis == 0);
  CHECK(service_status(test.home).initialised);
}

TEST_CASE(
    "services: a killed Postgres and Redis start again, what was committed is there, a pid given to others is no bar") {
  const TestHome test;
  const auto addresses = start_services(test.home);
  REQUIRE_MESSAGE(addresses.ok(), addresses.error().what);
  ask(addresses->admin_postgres, "CREATE TABLE kept AS SELECT 7 AS n");
  const ServiceStatus before = service_status(test.home);
  kill_and_wait(before.postgres, test.home.postgres_dir());
  kill_and_wait(before.redis, test.home.redis_dir());
  // The number in the pid file now belongs to somebody else: to this test.
  auto text = read_text_file(test.home.postgres_dir() + "/postmaster.pid");
  REQUIRE(text.ok());
  REQUIRE(write_text_file(test.home.postgres_dir() + "/postmaster.pid",
                          std::to_string(::getpid()) + text->substr(text->find('\n')), 0644)
              .ok());
  const auto again = start_services(test.home);
  REQUIRE_MESSAGE(again.ok(), again.error().what);
  CHECK(ask(again->admin_postgres, "SELECT n FROM kept") == "7");
}

TEST_CASE("services: a Postgres that lost its socket directory is started anew") {
  const TestHome test;
  const auto addresses = start_services(test.home);
  REQUIRE_MESSAGE(addresses.ok(), addresses.error().what);
  std::filesystem::remove_all(addresses->socket_dir);
  const auto again = start_services(test.home);
  REQUIRE_MESSAGE(again.ok(), again.error().what);
  CHECK(ask(again->admin_postgres, "SELECT 1") == "1");
}

TEST_CASE("services: starts at the same moment end with one Postgres that serves them all") {
  const TestHome test;
  std::vector<std::thread> callers;
  std::vector<int> codes(3, -1);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    callers.emplace_back([&, i] { codes[i] = start_services(test.home).code(); });
  }
  for (std::thread& caller : callers) caller.join();
  for (const int code : codes) CHECK(code == 0);
  CHECK(find_processes(test.home.redis_dir(), {"redis-server", "valkey-server"}).size() == 1);
}
