// The one table of exit statuses. Every subcommand's --help and man page list the ones it can end with.
#pragma once

#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs::cli {

enum class Exit : int {
  ok = 0,
  failed = 1,
  usage = 2,
  not_found = 3,
  exists = 4,
  no_tenant = 5,
  unreachable = 6,
  refused = 7,
  schema = 8,
  mount_point = 9,
  busy = 10,
  forbidden = 11,
  lost = 12,
  unpublished = 13,
  declined = 14,
  exec_lock_timeout = 124,
  exec_failed = 125,
  exec_not_executable = 126,
  exec_not_found = 127,
};

/// What the status means, for help and manual.
std::string_view exit_meaning(Exit exit);

/// The status for an error of connecting to the services or of the database commands.
Exit exit_for_store(const Error& error);
/// The status for an error of starting a mount.
Exit exit_for_mount(const Error& error);

}  // namespace sboxfs::cli
