// A mount's process, from its record to its last word. The only file of this layer that sees the session.
#pragma once

#include <string>

#include "sboxfs/base/log.hpp"
#include "sboxfs/base/result.hpp"
#include "sboxfs/exec/background.hpp"
#include "sboxfs/services/home.hpp"
#include "sboxfs/session/session.hpp"

namespace sboxfs {

struct MountRequest {
  Home home;
  SessionOptions session;  ///< mount_point as resolve_directory() gives it
  std::string log_file;    ///< empty: standard error
  log::Level log_level = log::Level::info;
  bool for_exec = false;  ///< goes by itself when nobody holds it
};

/// Mounts and serves until the mount is gone and everything is committed. Reports to `readiness` once the mount answers
/// (leaving the terminal first if in the background) and sets `answered`; a failure before that is only returned. TERM,
/// INT and HUP end it.
/// Errors: as Session::open and Session::run, and the errno of the record's and the log's files.
/// Must be called while the process has one thread (it blocks signals for all of them).
Status serve_mount(const MountRequest& request, Readiness& readiness, bool& answered);

}  // namespace sboxfs
