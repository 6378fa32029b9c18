// The words behind `mount -o`.
#pragma once

#include <string>
#include <vector>

#include "sboxfs/base/result.hpp"
#include "sboxfs/session/session.hpp"

namespace sboxfs::cli {

/// What does not concern the session.
struct MountPointOptions {
  bool nonempty = false;
};

/// Applies "a,b=c,..." to the options; later words win. Words for mount(8) alone (defaults, auto, noauto, user, users,
/// nofail, _netdev, x-*) change nothing. EINVAL names the first word that is unknown or has no valid value.
Status apply_mount_options(const std::string& words, SessionOptions& session, MountPointOptions& mount_point);

}  // namespace sboxfs::cli
