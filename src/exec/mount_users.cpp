#include <dirent.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/exec/mount_point.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {
namespace {

// Link texts are read, never followed: following one would ask the mount.
std::string link_text(const std::string& path) {
  char text[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), text, sizeof text);
  return size < 0 ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

bool is_below(std::string_view path, std::string_view directory) {
  return path.substr(0, directory.size()) == directory &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

/// The first use found; empty when the process does not use the mount.
std::string use_of(const std::string& proc, const std::string& mount_point) {
  if (is_below(link_text(proc + "/cwd"), mount_point)) return "working directory";
  if (is_below(link_text(proc + "/root"), mount_point)) return "root";
  if (is_below(link_text(proc + "/exe"), mount_point)) return "program";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd", error)) {
    const std::string path = link_text(entry.path());
    if (is_below(path, mount_point)) return cat("file ", path);
  }
  const auto maps = read_text_file(proc + "/maps");
  if (!maps.ok()) return {};
  for (std::size_t at = maps->find(mount_point); at != std::string::npos; at = maps->find(mount_point, at + 1)) {
    const std::string path = maps->substr(at, maps->find('\n', at) - at);
    if (at > 0 && (*maps)[at - 1] == ' ' && is_below(path, mount_point)) return cat("mapped ", path);
  }
  return {};
}

}  // namespace

std::vector<MountUser> find_mount_users(const std::string& mount_point) {
  std::vector<MountUser> users;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string how = use_of(entry.path(), mount_point);
    if (how.empty()) continue;
    auto comm = read_text_file(entry.path().string() + "/comm");
    if (comm.ok() && !comm->empty() && comm->back() == '\n') comm->pop_back();
    users.push_back(
        {static_cast<pid_t>(std::atol(number.c_str())), comm.ok() ? *comm : std::string("?"), std::move(how)});
  }
  return users;
}

}  // namespace sboxfs
