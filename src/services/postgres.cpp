#include <libpq-fe.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "initdb.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "servers.hpp"

namespace sboxfs::services_detail {
namespace {

constexpr int kPollMs = 20;
constexpr int kOrphanPatienceMs = 5'000;

std::vector<RunningProcess> server_processes(const Home& home) {
  return find_processes(resolved(home.postgres_dir()), {"postgres"});
}

/// The postmaster's pid as its own file tells it; checked against /proc by the caller.
pid_t recorded_pid(const Home& home) {
  const auto text = read_text_file(home.postgres_dir() + "/postmaster.pid");
  return text.ok() ? static_cast<pid_t>(std::strtol(text->c_str(), nullptr, 10)) : 0;
}

bool answers(const ServiceAddresses& addresses) { return ::PQping(addresses.admin_postgres.c_str()) == PQPING_OK; }

/// Back-ends whose postmaster was killed end by themselves within moments; a new server beside them would corrupt
/// the data, so none is started before they are gone.
Status wait_for_orphans(const Home& home) {
  for (const int number : {0, SIGQUIT, SIGKILL}) {
    for (const RunningProcess& process : server_processes(home)) {
      if (number != 0) SBOXFS_TRY(process.signal(number));
      process.ended(kOrphanPatienceMs);
    }
    if (server_processes(home).empty()) return {};
  }
  return fail(EBUSY, cat("processes of an earlier Postgres still use ", home.postgres_dir()));
}

Program server_program(const Home& home, const ServiceAddresses& addresses, const std::string& programs) {
  Program server;
  server.argv = {programs + "/postgres", "-D", home.postgres_dir()};
  // On the command line, so that no file in the data directory nor ALTER SYSTEM can weaken it.
  for (const std::string& setting : {
           std::string("listen_addresses="),
           "unix_socket_directories=" + addresses.socket_dir,
           std::string("unix_socket_permissions=0700"),
           std::string("port=5432"),
           "hba_file=" + home.root + "/pg_hba.conf",
           std::string("fsync=on"),
           std::string("full_page_writes=on"),
           std::string("synchronous_commit=on"),
           std::string("max_connections=200"),
           std::string("shared_buffers=128MB"),
           std::string("max_wal_size=2GB"),
           std::string("jit=off"),
           std::string("logging_collector=off"),
           std::string("log_destination=stderr"),
       }) {
    server.argv.push_back("-c");
    server.argv.push_back(setting);
  }
  server.cwd = home.postgres_dir();
  server.output = home.log_dir() + "/postgres.log";
  return server;
}

Status await_answer(const Home& home, const ServiceAddresses& addresses, const RunningProcess& server) {
  const std::string log = home.log_dir() + "/postgres.log";
  for (int waited = 0; waited < kStartTimeoutMs; waited += kPollMs) {
    if (answers(addresses)) return {};
    if (server.ended(kPollMs)) return fail(EIO, cat("Postgres did not start: ", last_line(log), " (", log, ")"));
  }
  return fail(ETIMEDOUT, cat("Postgres does not answer; see ", log));
}

Status ensure_database(const ServiceAddresses& addresses) {
  const std::string conninfo = cat("host=", addresses.socket_dir, " port=5432 user=postgres dbname=postgres");
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(::PQconnectdb(conninfo.c_str()), &PQfinish);
  if (::PQstatus(connection.get()) != CONNECTION_OK)
    return fail(EIO, "the private Postgres refuses its own administrator");
  using Answer = std::unique_ptr<PGresult, decltype(&PQclear)>;
  const Answer found(::PQexec(connection.get(), "SELECT 1 FROM pg_database WHERE datname = 'sboxfs'"), &PQclear);
  if (::PQresultStatus(found.get()) == PGRES_TUPLES_OK && ::PQntuples(found.get()) == 1) return {};
  const Answer made(::PQexec(connection.get(), "CREATE DATABASE sboxfs"), &PQclear);
  if (::PQresultStatus(made.get()) != PGRES_COMMAND_OK) {
    return fail(EIO, cat("can not create the database: ", ::PQresultErrorMessage(made.get())));
  }
  return {};
}

}  // namespace

pid_t postgres_pid(const Home& home) {
  const auto process = RunningProcess::find(recorded_pid(home), resolved(home.postgres_dir()));
  return process.ok() ? process->pid() : 0;
}

Status start_postgres(const Home& home, const ServiceAddresses& addresses, const ServiceUser& user) {
  const std::string socket = addresses.socket_dir + "/.s.PGSQL.5432";
  if (auto running = RunningProcess::find(recorded_pid(home), resolved(home.postgres_dir())); running.ok()) {
    // Without its socket (a cleaned /tmp) nobody can reach it any more: begin again.
    if (::access(socket.c_str(), F_OK) == 0) {
      if (await_answer(home, addresses, *running).ok()) return ensure_database(addresses);
    }
    SBOXFS_TRY(stop_postgres(home));
  }
  SBOXFS_ASSIGN(const std::string programs, postgres_programs(home.postgres_dir(), "/usr/lib/postgresql"));
  SBOXFS_TRY(ensure_data_directory(home, programs, user));
  SBOXFS_TRY(wait_for_orphans(home));
  // Nobody runs here, whatever process has that number now.
  for (const std::string& stale : {home.postgres_dir() + "/postmaster.pid", socket + ".lock", socket}) {
    if (::unlink(stale.c_str()) != 0 && errno != ENOENT) return fail(errno, cat("can not remove ", stale));
  }
  SBOXFS_TRY(write_text_file(home.root + "/pg_hba.conf", "local all all trust\n", 0644));
  SBOXFS_ASSIGN(const pid_t pid, start_program(server_program(home, addresses, programs), user));
  auto server = RunningProcess::find(pid, resolved(home.postgres_dir()));
  if (!server.ok()) {
    const std::string log = home.log_dir() + "/postgres.log";
    return fail(EIO, cat("Postgres did not start: ", last_line(log), " (", log, ")"));
  }
  SBOXFS_TRY(await_answer(home, addresses, *server));
  return ensure_database(addresses);
}

Status stop_postgres(const Home& home) {
  if (auto running = RunningProcess::find(recorded_pid(home), resolved(home.postgres_dir())); running.ok()) {
    SBOXFS_TRY(running->signal(SIGINT));
    if (!running->ended(kStopTimeoutMs))
      return fail(ETIMEDOUT, cat("Postgres (process ", running->pid(), ") does not stop"));
  }
  return wait_for_orphans(home);
}

}  // namespace sboxfs::services_detail
