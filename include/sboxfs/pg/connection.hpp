// One connection to Postgres over libpq, never blocking longer than its deadline: every wait is a poll(2) of at most
// 20 ms, between which BlockingSection::interrupted() is asked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <variant>

#include "sboxfs/pg/failure.hpp"
#include "sboxfs/pg/options.hpp"
#include "sboxfs/pg/params.hpp"
#include "sboxfs/pg/rows.hpp"

struct pg_conn;

namespace sboxfs {

/// A statement's text under a name. Must outlive every connection: declare it static (its address is its identity).
struct PgStatement {
  const char* name;
  const char* sql;
};

/// Rows, or why there are none.
class [[nodiscard]] PgAnswer {
 public:
  PgAnswer(PgRows rows) : state_(std::move(rows)) {}           // NOLINT(google-explicit-constructor)
  PgAnswer(PgFailure failure) : state_(std::move(failure)) {}  // NOLINT(google-explicit-constructor)
  bool ok() const { return state_.index() == 0; }
  const PgRows& rows() const { return *std::get_if<0>(&state_); }
  const PgFailure& failure() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<PgRows, PgFailure> state_;
};

/// Used by one thread at a time. Once broken() (after every outcome but `refused`) it is good for nothing but
/// destruction.
class PgConnection {
 public:
  /// Connects within `deadline_ns` (CLOCK_MONOTONIC). Failures: unreachable, interrupted, refused (role, password).
  static std::variant<std::unique_ptr<PgConnection>, PgFailure> connect(const PgOptions& options,
                                                                        std::int64_t deadline_ns);
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  /// Runs one statement, prepared at its first use (in the same round trip) unless a pooler is in between; results are
  /// binary. Success means that the server has also finished the transaction it ran in by itself.
  PgAnswer run(const PgStatement& statement, const PgParams& params, std::int64_t deadline_ns);
  bool broken() const { return broken_; }
  /// Whether the server has said or closed something while the connection lay idle: then it must not be used.
  bool stale() const;
  /// The server's process, as pg_stat_activity names it.
  int backend_pid() const;

 private:
  explicit PgConnection(pg_conn* conn, bool prepare) : conn_(conn), prepare_(prepare) {}
  bool send(const PgStatement& statement, const PgParams& params);
  PgAnswer collect(std::int64_t deadline_ns);
  PgFailure broken(PgOutcome outcome, std::string sqlstate = {});

  pg_conn* conn_;
  const bool prepare_;
  bool broken_ = false;
  std::unordered_set<const PgStatement*> prepared_;
};

}  // namespace sboxfs
