#include "connect.hpp"

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/exec/background.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/tenant.hpp"

namespace sboxfs::cli {
namespace {

std::string read_password(const std::string& file) {
  if (file.empty()) return {};
  auto text = read_text_file(file);
  if (!text.ok()) stop(Exit::usage, text.error().what);
  return text->substr(0, text->find_first_of("\r\n"));
}

PgOptions pool_options(const Settings& settings) {
  PgOptions options;
  options.conninfo = settings.postgres;
  options.pooler = settings.pooler;
  options.max_connections = 2;
  return options;
}

/// In a child: set-up may leave threads behind, and callers fork later.
void set_up_in_child(const ServiceAddresses& addresses) {
  const auto outcome = run_in_background([&addresses](Readiness& readiness) {
    try {
      set_up_private_schema(addresses, "default");
      readiness.ready();
      return 0;
    } catch (const Failure& failure) {
      readiness.failed({static_cast<int>(failure.exit), failure.message});
      return static_cast<int>(failure.exit);
    }
  });
  if (!outcome.ok()) stop(Exit::failed, outcome.error().what);
  if (outcome->exit_status != 0) stop(static_cast<Exit>(outcome->exit_status), outcome->message);
}

[[noreturn]] void stop_for_open(const Error& error, const Settings& settings) {
  // Private services trust whoever reaches their socket: what they refuse is a role that does not exist.
  if (settings.private_services && error.code == EACCES) {
    stop(Exit::no_tenant,
         cat("there is no tenant '", settings.tenant, "' (sboxfs init --tenant ", settings.tenant, ")"));
  }
  stop_for_store(error);
}

}  // namespace

Home home_or_stop() {
  auto home = Home::from_environment();
  if (!home.ok()) stop(Exit::usage, home.error().what);
  return *home;
}

void set_up_private_schema(const ServiceAddresses& addresses, const std::string& tenant) {
  InitRequest request;
  request.admin.conninfo = addresses.admin_postgres;
  request.tenant = tenant;
  const auto report = init_store(request);
  if (!report.ok()) stop_for_store(report.error());
}

Endpoints reach_services(Settings settings) {
  Endpoints endpoints;
  endpoints.home = home_or_stop();
  if (const Status named = check_tenant_name(settings.tenant); !named.ok()) stop(Exit::usage, named.error().what);
  if (settings.private_services) {
    const auto addresses = start_services(endpoints.home);
    if (!addresses.ok()) stop(Exit::unreachable, addresses.error().what);
    settings.postgres = addresses->postgres_as(tenant_role(settings.tenant));
    settings.redis = addresses->redis;
  } else {
    if (const Status ready = endpoints.home.prepare(); !ready.ok()) stop(Exit::failed, ready.error().what);
    const auto conninfo = tenant_conninfo(settings.postgres, settings.tenant);
    if (!conninfo.ok()) stop(Exit::usage, conninfo.error().what);
    settings.postgres = *conninfo;
  }
  endpoints.redis_password = read_password(settings.redis_password_file);
  endpoints.settings = std::move(settings);
  return endpoints;
}

Database open_database(Settings settings) {
  Database database;
  database.endpoints = reach_services(std::move(settings));
  const Settings& reached = database.endpoints.settings;
  auto pool = open_tenant(pool_options(reached), reached.tenant);
  if (!pool.ok() && reached.private_services && (pool.code() == EPROTO || pool.code() == EACCES)) {
    // A fresh database. init_store never lowers a schema, so one that is too new is still refused.
    set_up_in_child(service_addresses(database.endpoints.home));
    pool = open_tenant(pool_options(reached), reached.tenant);
  }
  if (!pool.ok()) stop_for_open(pool.error(), reached);
  database.pool = std::move(pool).value();
  return database;
}

SandboxId sandbox_or_stop(Database& database, const std::string& name_or_id) {
  const auto id = find_sandbox(*database.pool, database.tenant(), name_or_id);
  if (!id.ok() && id.code() == ENOENT) stop(Exit::not_found, cat("there is no sandbox '", name_or_id, "'"));
  if (!id.ok()) stop_for_store(id.error());
  return *id;
}

}  // namespace sboxfs::cli
