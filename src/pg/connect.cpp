#include <libpq-fe.h>
#include <poll.h>

#include "message.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/pg/connection.hpp"
#include "wait.hpp"

namespace sboxfs {
namespace {

/// libpq keeps the SQLSTATE of a refused connection to itself: what is left is the text of the English messages.
bool names_refusal(std::string_view message) {
  for (std::string_view sign : {"authentication failed", "no pg_hba.conf entry", "no password supplied",
                                "is not permitted to log in", "permission denied for database"}) {
    if (message.find(sign) != std::string_view::npos) return true;
  }
  return message.find("role \"") != std::string_view::npos && message.find("does not exist") != std::string_view::npos;
}

PgFailure connect_failure(PGconn* conn) {
  PgFailure failure;
  const std::string message = PQerrorMessage(conn);
  if (PQconnectionNeedsPassword(conn) != 0 || names_refusal(message)) {
    failure.outcome = PgOutcome::refused;
    failure.sqlstate = "28000";
  }
  const auto fatal = message.find("FATAL:  ");
  failure.message =
      cat("Postgres: ", pg_detail::one_line(fatal == std::string::npos ? message : message.substr(fatal)));
  return failure;
}

}  // namespace

std::variant<std::unique_ptr<PgConnection>, PgFailure> PgConnection::connect(const PgOptions& options,
                                                                             std::int64_t deadline_ns) {
  // Parsed here first: libpq's own message about a malformed string repeats it, password included.
  char* parse_message = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(options.conninfo.c_str(), &parse_message);
  PQfreemem(parse_message);
  if (parsed == nullptr) return PgFailure{PgOutcome::unreachable, {}, "Postgres: not a valid connection string"};
  PQconninfoFree(parsed);

  const char* const keys[] = {"dbname", "fallback_application_name", "client_encoding", nullptr};
  const char* const values[] = {options.conninfo.c_str(), options.application_name.c_str(), "UTF8", nullptr};
  PGconn* conn = PQconnectStartParams(keys, values, 1);
  if (conn == nullptr) return PgFailure{PgOutcome::unreachable, {}, "Postgres: out of memory"};
  std::unique_ptr<PgConnection> out(new PgConnection(conn, !options.pooler));
  if (PQstatus(conn) == CONNECTION_BAD) return connect_failure(conn);

  PostgresPollingStatusType step = PGRES_POLLING_WRITING;
  while (step != PGRES_POLLING_OK) {
    if (step == PGRES_POLLING_FAILED) return connect_failure(conn);
    const short events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    switch (pg_detail::wait_for(PQsocket(conn), events, deadline_ns)) {
      case pg_detail::Wait::ready: break;
      case pg_detail::Wait::interrupted: return PgFailure{PgOutcome::interrupted, {}, "interrupted while connecting"};
      case pg_detail::Wait::timed_out:
        return PgFailure{PgOutcome::unreachable, {}, "Postgres does not answer (time-out while connecting)"};
    }
    step = PQconnectPoll(conn);
  }
  PQsetNoticeProcessor(
      conn, [](void*, const char*) {}, nullptr);
  if (PQsetnonblocking(conn, 1) != 0) return connect_failure(conn);
  return out;
}

}  // namespace sboxfs
