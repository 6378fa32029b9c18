// How to reach Postgres. No I/O and no libpq types here, so that the command line may include it.
#pragma once

#include <cstdint>
#include <string>

#include "sboxfs/base/clock.hpp"

namespace sboxfs {

struct PgOptions {
  /// A libpq conninfo string or URI. May hold a password: never logged, never part of a message.
  std::string conninfo;
  /// The longest a single wait (connecting, sending, an answer) may take.
  std::int64_t io_timeout_ns = 30 * kSecondNs;
  /// Connections open at once; more callers wait for one to come back.
  unsigned max_connections = 8;
  /// Connections go through a transaction-pooling proxy: no prepared statements.
  bool pooler = false;
  /// application_name, as pg_stat_activity shows it.
  std::string application_name = "sboxfs";
};

}  // namespace sboxfs
