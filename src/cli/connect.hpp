// From settings to an open database, with the private services started and set up where they are the ones to use.
#pragma once

#include <memory>
#include <string>

#include "sboxfs/cli/settings.hpp"
#include "sboxfs/model/ids.hpp"
#include "sboxfs/pg/pool.hpp"
#include "sboxfs/services/home.hpp"
#include "sboxfs/services/services.hpp"

namespace sboxfs::cli {

/// Addresses for the tenant's role, ready to use.
struct Endpoints {
  Home home;
  Settings settings;           ///< with the private services' addresses filled in
  std::string redis_password;  ///< empty: none
};

struct Database {
  Endpoints endpoints;
  std::unique_ptr<PgPool> pool;
  const std::string& tenant() const { return endpoints.settings.tenant; }
};

/// The home of this user. Throws Failure.
Home home_or_stop();
/// Starts the private services if they are the ones to use. Throws Failure.
Endpoints reach_services(Settings settings);
/// reach_services(), then the tenant's pool. A private database without a schema gets one, and the tenant `default`.
/// Throws Failure.
Database open_database(Settings settings);

/// By name or id. Throws Failure (not_found).
SandboxId sandbox_or_stop(Database& database, const std::string& name_or_id);

/// Runs schema set-up as the private services' administrator. Throws Failure.
void set_up_private_schema(const ServiceAddresses& addresses, const std::string& tenant);

}  // namespace sboxfs::cli
