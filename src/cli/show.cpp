#include "show.hpp"

#include <array>
#include <ctime>

#include "sboxfs/base/clock.hpp"

namespace sboxfs::cli {

std::string utc_time(std::int64_t ns) {
  const std::time_t seconds = static_cast<std::time_t>(ns / kSecondNs);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

nlohmann::ordered_json sandbox_json(const SandboxInfo& info) {
  nlohmann::ordered_json json;
  json["id"] = info.id.text();
  json["name"] = info.name;
  json["version"] = info.stamp.version;
  json["published_version"] = info.published_version;
  json["inodes"] = info.used_inodes;
  json["blocks_bytes"] = info.used_blocks * 4096;
  json["quota_bytes"] = info.quota_blocks * 4096;
  json["quota_inodes"] = info.quota_inodes;
  json["created"] = utc_time(info.created_ns);
  json["mount_count"] = info.session_count;
  return json;
}

}  // namespace sboxfs::cli
