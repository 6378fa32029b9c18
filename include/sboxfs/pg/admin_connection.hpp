// An administrator's connection over libpqxx, for schema and roles: what is rare and need not be fast.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sboxfs/base/result.hpp"
#include "sboxfs/pg/options.hpp"

namespace sboxfs {

/// Inside one transaction. Errors of both: as to_error() in pg/failure.hpp.
class AdminTransaction {
 public:
  using Row = std::vector<std::optional<std::string>>;
  virtual ~AdminTransaction() = default;
  /// Any number of statements, separated by semicolons.
  virtual Status script(const std::string& sql) = 0;
  /// One statement with text parameters; rows as text.
  virtual Result<std::vector<Row>> query(const std::string& sql, const std::vector<std::string>& params = {}) = 0;
  /// `name` as an SQL identifier, `value` as an SQL literal.
  virtual std::string identifier(const std::string& name) = 0;
  virtual std::string literal(const std::string& value) = 0;
};

/// Used by one thread. A server that hangs is cut off by a watchdog after options.io_timeout_ns a call (libpqxx has no
/// time-out of its own); the transaction then fails with EIO.
class AdminConnection {
 public:
  static Result<std::unique_ptr<AdminConnection>> connect(const PgOptions& options);
  virtual ~AdminConnection() = default;
  /// Runs `body` in a transaction and commits it when it succeeds, else rolls back. Errors: the body's; EIO.
  virtual Status transaction(const std::function<Status(AdminTransaction&)>& body) = 0;
};

}  // namespace sboxfs
