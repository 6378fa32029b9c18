#include "local_mounts.hpp"

#include "sboxfs/exec/mount_point.hpp"

namespace sboxfs::cli {
namespace {

bool is_below(const std::string& path, const std::string& directory) {
  return path.compare(0, directory.size(), directory) == 0 &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

std::vector<MountRecord> mounts_named(const Home& home, const std::string& word) {
  std::vector<MountRecord> living;
  for (MountRecord& record : list_mount_records(home)) {
    if (record.alive) living.push_back(std::move(record));
  }
  std::vector<MountRecord> found;
  if (const auto path = resolve_directory(word); path.ok()) {
    // The innermost mount holds the path.
    for (const MountRecord& record : living) {
      if (!is_below(*path, record.mount_point)) continue;
      if (found.empty() || record.mount_point.size() > found.front().mount_point.size()) found = {record};
    }
  }
  if (!found.empty()) return found;
  for (const MountRecord& record : living) {
    if (record.name == word || record.sandbox.text() == word) found.push_back(record);
  }
  return found;
}

}  // namespace sboxfs::cli
