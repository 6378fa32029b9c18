// sboxfs info
#include <iostream>

#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/cli/parse.hpp"
#include "show.hpp"

namespace sboxfs::cli {
namespace {

nlohmann::ordered_json info_json(const SandboxInfo& info) {
  nlohmann::ordered_json json = sandbox_json(info);
  json["bytes"] = info.bytes;
  json["epoch"] = info.epoch;
  if (info.writer) {
    json["lease"] = {
        {"session", info.writer->text()}, {"host", info.writer_host}, {"ms_left", info.lease_left_ns / kMillisecondNs}};
  } else {
    json["lease"] = nullptr;
  }
  json["mounts"] = nlohmann::ordered_json::array();
  for (const SessionInfo& session : info.sessions) {
    json["mounts"].push_back({{"session", session.id.text()},
                              {"host", session.host},
                              {"mount_point", session.mount_point},
                              {"seen", session.seen}});
  }
  return json;
}

void print(const SandboxInfo& info) {
  std::cout << "name:       " << info.name << "\nid:         " << info.id.text()
            << "\nversion:    " << info.stamp.version << "\npublished:  " << info.published_version
            << "\nfiles:      " << info.used_inodes << " inodes, the root included"
            << (info.quota_inodes != 0 ? " (of " + std::to_string(info.quota_inodes) + ")" : "")
            << "\nbytes:      " << info.bytes << " in files, " << human_size(info.used_blocks * 4096) << " in blocks"
            << (info.quota_blocks != 0 ? " (of " + human_size(info.quota_blocks * 4096) + ")" : "")
            << "\ncreated:    " << utc_time(info.created_ns) << "\nlease:      ";
  if (info.writer) {
    std::cout << info.writer_host << ", " << info.lease_left_ns / kMillisecondNs << " ms left\n";
  } else {
    std::cout << "free\n";
  }
  std::cout << "mounts:     " << info.sessions.size() << "\n";
  for (const SessionInfo& session : info.sessions) {
    std::cout << "            " << session.host << ":" << session.mount_point << ", seen " << session.seen << "\n";
  }
}

}  // namespace

int run_info(const Words& words) {
  Arguments arguments("info", "[OPTION...] NAME", "Shows the sandbox NAME (a name or id).");
  arguments.add_connection().add_json().positionals(1, 1).ends_with({Exit::not_found});
  if (!arguments.parse(words)) return 0;
  Database database = open_database(arguments.settings());
  const SandboxId id = sandbox_or_stop(database, arguments.words().front());
  const auto info = sandbox_info(*database.pool, database.tenant(), id);
  if (!info.ok()) stop_for_store(info.error());
  if (arguments.has("json")) {
    std::cout << info_json(*info).dump(2) << "\n";
  } else {
    print(*info);
  }
  return 0;
}

}  // namespace sboxfs::cli
