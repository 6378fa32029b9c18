// sboxfs sync
#include <iostream>

#include "commands.hpp"
#include "connect.hpp"
#include "local_mounts.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/exec/control.hpp"

namespace sboxfs::cli {

int run_sync(const Words& words) {
  Arguments arguments("sync", "[OPTION...] DIR|NAME",
                      "Returns when everything the mount (a directory in it, or the sandbox's name) has accepted is\n"
                      "committed and published. sync(1) and syncfs(2) do not reach a FUSE file system.");
  arguments.positionals(1, 1).ends_with({Exit::not_found, Exit::lost});
  if (!arguments.parse(words)) return 0;
  const auto mounts = mounts_named(home_or_stop(), arguments.words().front());
  if (mounts.empty()) stop(Exit::not_found, cat("'", arguments.words().front(), "' is not in a mount of this home"));
  for (const MountRecord& mount : mounts) {
    auto control = ControlClient::connect(mount.control);
    if (!control.ok()) stop(Exit::failed, control.error().what);
    std::string warning;
    const Status synced = control->request("sync", &warning);
    if (!synced.ok()) stop(Exit::lost, cat(mount.mount_point, ": ", synced.error().what));
    if (!warning.empty()) std::cerr << "sboxfs sync: warning: " << warning << "\n";
  }
  return 0;
}

}  // namespace sboxfs::cli
