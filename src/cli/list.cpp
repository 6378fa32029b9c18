// sboxfs list
#include <algorithm>
#include <iostream>

#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/cli/parse.hpp"
#include "show.hpp"

namespace sboxfs::cli {

int run_list(const Words& words) {
  Arguments arguments("list", "[OPTION...]", "Lists the tenant's sandboxes by name.");
  arguments.add_connection().add_json();
  if (!arguments.parse(words)) return 0;
  Database database = open_database(arguments.settings());
  const auto sandboxes = list_sandboxes(*database.pool, database.tenant());
  if (!sandboxes.ok()) stop_for_store(sandboxes.error());
  if (arguments.has("json")) {
    auto json = nlohmann::ordered_json::array();
    for (const SandboxInfo& info : *sandboxes) json.push_back(sandbox_json(info));
    std::cout << json.dump(2) << "\n";
    return 0;
  }
  std::size_t width = 4;
  for (const SandboxInfo& info : *sandboxes) width = std::max(width, info.name.size());
  const auto row = [width](const std::string& name, const std::string& id, const std::string& version,
                           const std::string& inodes, const std::string& size, const std::string& mounts) {
    const auto pad = [](const std::string& text, std::size_t to) {
      return text + std::string(to > text.size() ? to - text.size() : 0, ' ');
    };
    std::cout << pad(name, width) << "  " << pad(id, 36) << "  " << pad(version, 9) << "  " << pad(inodes, 9) << "  "
              << pad(size, 7) << "  " << mounts << "\n";
  };
  row("NAME", "ID", "VERSION", "INODES", "SIZE", "MOUNTS");
  for (const SandboxInfo& info : *sandboxes) {
    row(info.name, info.id.text(), std::to_string(info.stamp.version), std::to_string(info.used_inodes),
        human_size(info.used_blocks * 4096), std::to_string(info.session_count));
  }
  return 0;
}

}  // namespace sboxfs::cli
