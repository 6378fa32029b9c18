#include "commands.hpp"

namespace sboxfs::cli {

const std::vector<Command>& all_commands() {
  static const std::vector<Command> commands = {
      {"create", "make a sandbox, empty or from a directory or tar", run_create},
      {"mount", "mount a sandbox on a directory; without arguments, list this host's mounts", run_mount},
      {"exec", "run a command in a sandbox", run_exec},
      {"sync", "commit and publish what a mount has accepted", run_sync},
      {"umount", "commit, publish and unmount", run_umount},
      {"list", "list the tenant's sandboxes", run_list},
      {"info", "show one sandbox", run_info},
      {"copy", "make a sandbox that begins as a copy of another", run_copy},
      {"set", "change a sandbox's limits", run_set},
      {"destroy", "destroy a sandbox", run_destroy},
      {"drain", "tell Redis what it does not know yet", run_drain},
      {"gc", "delete what nobody can reach any more", run_gc},
      {"init", "set up or migrate the database, and a tenant", run_init},
      {"services", "start, stop and show the private Postgres and Redis", run_services},
  };
  return commands;
}

}  // namespace sboxfs::cli
