// sboxfs services start|stop|status|env
#include "sboxfs/services/services.hpp"

#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/exec/mount_record.hpp"
#include "sboxfs/store/tenant.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "The private Postgres and Redis below $SBOXFS_HOME. Unix sockets only; as root they run as user postgres.\n"
    "  start    start what is not running, make the database and its schema if missing\n"
    "  stop     stop both; refused while mounts of this home are alive, unless --force\n"
    "  status   say what runs; status 6 when it is not both\n"
    "  env      print SBOXFS_POSTGRES and SBOXFS_REDIS for a shell: eval \"$(sboxfs services env)\"";

int start(const Home& home) {
  const auto addresses = start_services(home);
  if (!addresses.ok()) stop(Exit::unreachable, addresses.error().what);
  set_up_private_schema(*addresses, "default");
  const ServiceStatus status = service_status(home);
  std::cout << "postgres: running, process " << status.postgres << "\nredis: running, process " << status.redis << "\n";
  return 0;
}

int stop_both(const Home& home, bool force) {
  int alive = 0;
  for (const MountRecord& record : list_mount_records(home)) alive += record.alive ? 1 : 0;
  if (alive > 0 && !force) {
    stop(Exit::busy, cat(alive, alive == 1 ? " mount is" : " mounts are",
                         " alive (sboxfs mount lists them): unmount first, or use --force"));
  }
  if (const Status stopped = stop_services(home); !stopped.ok()) stop(Exit::failed, stopped.error().what);
  std::cout << "postgres: stopped\nredis: stopped\n";
  return 0;
}

int show(const Home& home, bool json) {
  const ServiceStatus status = service_status(home);
  const bool both = status.postgres != 0 && status.redis != 0;
  if (json) {
    std::cout << nlohmann::json{{"home", home.root},
                                {"initialised", status.initialised},
                                {"postgres_pid", status.postgres},
                                {"redis_pid", status.redis},
                                {"socket_dir", service_addresses(home).socket_dir}}
                     .dump(2)
              << "\n";
  } else {
    const auto line = [](const char* name, pid_t pid) {
      std::cout << name << (pid != 0 ? cat(": running, process ", pid) : std::string(": not running")) << "\n";
    };
    line("postgres", status.postgres);
    line("redis", status.redis);
    std::cout << "home: " << home.root << (status.initialised ? "" : " (no database yet)") << "\n";
  }
  return both ? 0 : static_cast<int>(Exit::unreachable);
}

int print_environment(const Home& home, const std::string& tenant) {
  const ServiceAddresses addresses = service_addresses(home);
  std::cout << "export SBOXFS_POSTGRES='" << addresses.postgres_as(tenant_role(tenant)) << "'\n"
            << "export SBOXFS_REDIS='" << addresses.redis << "'\n";
  return 0;
}

}  // namespace

int run_services(const Words& words) {
  Arguments arguments("services", "start|stop|status|env [OPTION...]", kAbout);
  arguments.add({"force", "", "stop although mounts are alive"});
  arguments.add({"tenant", "NAME", "the tenant whose role env names (default: default)"});
  arguments.add_json().positionals(1, 1).ends_with({Exit::unreachable, Exit::schema, Exit::busy});
  if (!arguments.parse(words)) return 0;
  const Home home = home_or_stop();
  const std::string& verb = arguments.words().front();
  if (verb == "start") return start(home);
  if (verb == "stop") return stop_both(home, arguments.has("force"));
  if (verb == "status") return show(home, arguments.has("json"));
  if (verb == "env") return print_environment(home, arguments.value("tenant").value_or("default"));
  stop(Exit::usage, cat("'", verb, "' is not one of start, stop, status, env"));
}

}  // namespace sboxfs::cli
