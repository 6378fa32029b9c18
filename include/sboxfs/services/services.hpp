// The private services: one Postgres and one Redis under $SBOXFS_HOME, on unix sockets only.
//
// Everything here is safe against concurrent callers, in this and other processes: start and stop hold an flock on
// `$SBOXFS_HOME/services.lock`. Durability (fsync, full_page_writes, synchronous_commit) is on and written anew into
// the configuration at each start.
#pragma once

#include <sys/types.h>

#include <string>

#include "sboxfs/base/result.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {

/// How to reach the services.
struct ServiceAddresses {
  std::string admin_postgres;  ///< conninfo of the superuser: for `init` only
  std::string socket_dir;      ///< where both sockets are; 0700
  std::string redis;           ///< unix:///...

  /// The conninfo of another role of the private Postgres.
  std::string postgres_as(const std::string& role) const;
};

struct ServiceStatus {
  pid_t postgres = 0;  ///< 0: not running
  pid_t redis = 0;
  bool initialised = false;  ///< the database exists
};

/// Where the services are or would be.
ServiceAddresses service_addresses(const Home& home);

/// Starts what is not running (initdb first where there is no database) and returns when both answer. What an unclean
/// stop left behind is cleared away. Errors: ENOENT a program is missing (the text names the package), EACCES the
/// unprivileged user can not reach the home, EINVAL the home lies in an sboxfs mount, ETIMEDOUT no answer in 60 s
/// (the text names the log file).
Result<ServiceAddresses> start_services(const Home& home);

/// Stops both (Postgres: fast shutdown, which writes a checkpoint); returns when they are gone. Nothing running is
/// success. ETIMEDOUT when one did not end in 60 s.
Status stop_services(const Home& home);

ServiceStatus service_status(const Home& home);

}  // namespace sboxfs
