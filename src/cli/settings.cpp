#include "sboxfs/cli/settings.hpp"

#include <cstdlib>

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs::cli {
namespace {

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

Status set_key(SettingLayer& layer, const std::string& key, const std::string& value) {
  if (key == "postgres") {
    layer.postgres = value;
  } else if (key == "redis") {
    layer.redis = value;
  } else if (key == "redis-password-file") {
    layer.redis_password_file = value;
  } else if (key == "tenant") {
    layer.tenant = value;
  } else if (key == "pooler") {
    if (value != "yes" && value != "no") return fail(EINVAL, "pooler is yes or no");
    layer.pooler = value == "yes";
  } else {
    return fail(EINVAL, cat("unknown key '", key, "'"));
  }
  return {};
}

}  // namespace

SettingLayer settings_from_environment() {
  SettingLayer layer;
  layer.postgres = variable("SBOXFS_POSTGRES");
  layer.redis = variable("SBOXFS_REDIS");
  return layer;
}

Result<SettingLayer> parse_settings(const std::string& text, const std::string& file) {
  SettingLayer layer;
  int number = 0;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = trimmed(text.substr(start, end - start));
    start = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) return fail(EINVAL, cat(file, ":", number, ": not 'key = value'"));
    const Status set = set_key(layer, trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
    if (!set.ok()) return fail(EINVAL, cat(file, ":", number, ": ", set.error().what));
  }
  return layer;
}

Result<std::vector<SettingLayer>> settings_from_files() {
  std::vector<std::string> files{"/etc/sboxfs.conf"};
  if (const auto config = variable("XDG_CONFIG_HOME")) {
    files.push_back(*config + "/sboxfs/config");
  } else if (const auto user_home = variable("HOME")) {
    files.push_back(*user_home + "/.config/sboxfs/config");
  }
  std::vector<SettingLayer> layers;
  for (const std::string& file : files) {
    const auto text = read_text_file(file);
    if (!text.ok() && (text.code() == ENOENT || text.code() == ENOTDIR)) continue;
    if (!text.ok()) return Error(text.error());
    SBOXFS_ASSIGN(SettingLayer layer, parse_settings(*text, file));
    layers.push_back(std::move(layer));
  }
  return layers;
}

Result<Settings> resolve_settings(const std::vector<SettingLayer>& layers) {
  Settings settings;
  bool postgres = false;
  bool redis = false;
  for (const SettingLayer& layer : layers) {
    if (layer.postgres) settings.postgres = *layer.postgres;
    if (layer.redis) settings.redis = *layer.redis;
    if (layer.redis_password_file) settings.redis_password_file = *layer.redis_password_file;
    if (layer.tenant) settings.tenant = *layer.tenant;
    if (layer.pooler) settings.pooler = *layer.pooler;
    postgres = postgres || layer.postgres.has_value();
    redis = redis || layer.redis.has_value();
  }
  if (postgres != redis) {
    return fail(EINVAL, postgres ? "an address of Postgres is given, but none of Redis (--redis, SBOXFS_REDIS)"
                                 : "an address of Redis is given, but none of Postgres (--postgres, SBOXFS_POSTGRES)");
  }
  settings.private_services = !postgres;
  return settings;
}

}  // namespace sboxfs::cli
