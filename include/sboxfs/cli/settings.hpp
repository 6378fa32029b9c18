// Where the services are: flags before environment before configuration files before the private services.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sboxfs/base/result.hpp"

namespace sboxfs::cli {

/// What one source says; absent: nothing.
struct SettingLayer {
  std::optional<std::string> postgres;  ///< conninfo or URI
  std::optional<std::string> redis;     ///< unix:///path or redis://
  std::optional<std::string> redis_password_file;
  std::optional<std::string> tenant;
  std::optional<bool> pooler;
};

struct Settings {
  std::string postgres;
  std::string redis;
  std::string redis_password_file;  ///< empty: none
  std::string tenant = "default";
  bool pooler = false;
  bool private_services = false;  ///< neither address is given: the services below $SBOXFS_HOME
};

/// SBOXFS_POSTGRES and SBOXFS_REDIS; an empty variable says nothing.
SettingLayer settings_from_environment();
/// "key = value" lines (postgres, redis, redis-password-file, tenant, pooler), # begins a comment line. `file` is for
/// the message. EINVAL names the line.
Result<SettingLayer> parse_settings(const std::string& text, const std::string& file);
/// /etc/sboxfs.conf and then `$XDG_CONFIG_HOME/sboxfs/config` (~/.config/sboxfs/config), least important first; a file
/// that is not there is left out. Errors: EINVAL, or the errno of reading.
Result<std::vector<SettingLayer>> settings_from_files();
/// Key by key the most important source, `layers` least important first. EINVAL when only one of the two services has
/// an address: they belong together.
Result<Settings> resolve_settings(const std::vector<SettingLayer>& layers);

}  // namespace sboxfs::cli
