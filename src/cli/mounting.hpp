// What mount, exec and create --from share: a mount's process, started in the background.
#pragma once

#include <string>

#include "connect.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/exec/control.hpp"
#include "sboxfs/exec/mount_record.hpp"
#include "sboxfs/exec/serve.hpp"

namespace sboxfs::cli {

/// A mount to be made. `session` holds everything but addresses, sandbox and name, which serve() fills in.
struct MountPlan {
  Settings settings;
  std::string sandbox;  ///< name or id
  SessionOptions session;
  std::string log_file;  ///< empty: $SBOXFS_HOME/log/NAME.log in the background, else standard error
  log::Level log_level = log::Level::info;
  bool for_exec = false;
};

/// Opens the database and serves the mount until it is gone. Returns the exit status; errors are reported to
/// `readiness`, or thrown as Failure in the foreground.
int serve(const MountPlan& plan, Readiness& readiness);
/// The same in the background; returns when the mount answers. Throws Failure.
void start_in_background(const MountPlan& plan);

/// A mount of a sandbox on this host that stays while this is held.
struct HeldMount {
  MountRecord record;
  ControlClient control;
};
/// Takes hold of a living mount of the sandbox, or makes one below $SBOXFS_HOME/mnt. A writable one unless `read_only`.
/// Throws Failure.
HeldMount hold_mount(const Database& database, const SandboxId& sandbox, bool read_only);
/// Lets go; a mount that goes by itself and is not kept is gone when this returns. Its last words, when it has any.
Status release_mount(HeldMount& mount, double keep_seconds);

}  // namespace sboxfs::cli
