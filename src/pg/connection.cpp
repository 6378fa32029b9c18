#include "sboxfs/pg/connection.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include "message.hpp"
#include "sboxfs/base/text.hpp"
#include "wait.hpp"

namespace sboxfs {
namespace {

std::string field(const PGresult* result, int code) {
  const char* value = PQresultErrorField(result, code);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

PgConnection::~PgConnection() { PQfinish(conn_); }

int PgConnection::backend_pid() const { return PQbackendPID(conn_); }

bool PgConnection::stale() const {
  pollfd entry{PQsocket(conn_), POLLIN, 0};
  return poll(&entry, 1, 0) != 0;
}

PgFailure PgConnection::broken(PgOutcome outcome, std::string sqlstate) {
  broken_ = true;
  std::string why;
  switch (outcome) {
    case PgOutcome::interrupted: why = "interrupted"; break;
    case PgOutcome::refused:
    case PgOutcome::unreachable:
    case PgOutcome::in_doubt: why = cat("Postgres: ", pg_detail::one_line(PQerrorMessage(conn_))); break;
  }
  return {outcome, std::move(sqlstate), std::move(why)};
}

/// Queues the statement; at its first use, the preparation before it, in one pipeline.
bool PgConnection::send(const PgStatement& statement, const PgParams& params) {
  const std::vector<const char*> values = params.values();
  if (!prepare_) {
    return PQsendQueryParams(conn_, statement.sql, params.count(), params.types(), values.data(), params.lengths(),
                             params.formats(), 1) != 0;
  }
  const bool first = prepared_.count(&statement) == 0;
  if (first) {
    if (PQenterPipelineMode(conn_) == 0) return false;
    if (PQsendPrepare(conn_, statement.name, statement.sql, params.count(), params.types()) == 0) return false;
  }
  if (PQsendQueryPrepared(conn_, statement.name, params.count(), values.data(), params.lengths(), params.formats(),
                          1) == 0) {
    return false;
  }
  return !first || PQpipelineSync(conn_) != 0;
}

/// Reads until the server is ready for the next statement: only then is the transaction over. An error may still
/// follow the rows (a COMMIT that fails, a backend that is told to go).
PgAnswer PgConnection::collect(std::int64_t deadline_ns) {
  const bool pipeline = PQpipelineStatus(conn_) != PQ_PIPELINE_OFF;
  PgRows rows;
  std::unique_ptr<PGresult, decltype(&PQclear)> error(nullptr, PQclear);
  for (int nulls = 0;;) {
    while (PQisBusy(conn_) != 0) {
      const int unsent = PQflush(conn_);
      if (unsent < 0) return broken(PgOutcome::in_doubt);
      const short events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;
      switch (pg_detail::wait_for(PQsocket(conn_), events, deadline_ns)) {
        case pg_detail::Wait::ready: break;
        case pg_detail::Wait::interrupted: return broken(PgOutcome::interrupted);
        case pg_detail::Wait::timed_out: {
          broken_ = true;
          return PgFailure{PgOutcome::in_doubt, {}, "Postgres does not answer (time-out)"};
        }
      }
      if (PQconsumeInput(conn_) == 0) return broken(PgOutcome::in_doubt);
    }
    PGresult* result = PQgetResult(conn_);
    if (result == nullptr) {
      // In a pipeline a null ends one statement, and the end is the sync; a second null in a row is a lost one.
      if (!pipeline || ++nulls > 1) break;
      continue;
    }
    nulls = 0;
    switch (PQresultStatus(result)) {
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK: rows = PgRows(result); break;
      case PGRES_PIPELINE_SYNC: {
        PQclear(result);
        if (PQexitPipelineMode(conn_) == 0) return broken(PgOutcome::in_doubt);
        break;
      }
      case PGRES_PIPELINE_ABORTED: PQclear(result); break;
      default:
        if (error == nullptr) {
          error.reset(result);
        } else {
          PQclear(result);
        }
        break;
    }
    if (pipeline && PQpipelineStatus(conn_) == PQ_PIPELINE_OFF) break;
  }
  if (PQstatus(conn_) != CONNECTION_OK || (pipeline && PQpipelineStatus(conn_) != PQ_PIPELINE_OFF)) {
    return broken(PgOutcome::in_doubt, error == nullptr ? std::string() : field(error.get(), PG_DIAG_SQLSTATE));
  }
  if (error != nullptr) {
    return PgFailure{PgOutcome::refused, field(error.get(), PG_DIAG_SQLSTATE),
                     cat("Postgres: ", field(error.get(), PG_DIAG_MESSAGE_PRIMARY))};
  }
  return rows;
}

PgAnswer PgConnection::run(const PgStatement& statement, const PgParams& params, std::int64_t deadline_ns) {
  if (!send(statement, params)) return broken(PgOutcome::unreachable);
  PgAnswer answer = collect(deadline_ns);
  // After an error it is unknown whether the preparation or the execution failed: such a connection is not used again
  // for the statement's first time, but closed.
  if (prepare_ && prepared_.count(&statement) == 0) {
    if (answer.ok()) {
      prepared_.insert(&statement);
    } else {
      broken_ = true;
    }
  }
  return answer;
}

}  // namespace sboxfs
