#include "credentials.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

/// What follows `key` on its line; empty: there is no such line.
std::string_view field(std::string_view status, std::string_view key) {
  std::size_t at = 0;
  while (at < status.size()) {
    const std::size_t end = std::min(status.find('\n', at), status.size());
    const std::string_view line = status.substr(at, end - at);
    if (line.substr(0, key.size()) == key) return line.substr(key.size());
    at = end + 1;
  }
  return {};
}

/// Capabilities count only in the user namespace the file system belongs to: ours.
bool in_our_user_namespace(pid_t pid) {
  struct stat theirs {};
  struct stat ours {};
  if (::stat(cat("/proc/", pid, "/ns/user").c_str(), &theirs) != 0) return false;
  return ::stat("/proc/self/ns/user", &ours) == 0 && theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

}  // namespace

bool Credentials::in_group(gid_t gid) const { return std::find(groups.begin(), groups.end(), gid) != groups.end(); }

Credentials parse_credentials(const Caller& who, std::string_view status) {
  Credentials out;
  out.groups.push_back(who.gid);
  const std::string groups(field(status, "Groups:"));
  for (const char* at = groups.c_str(); *at != '\0';) {
    char* end = nullptr;
    const unsigned long gid = std::strtoul(at, &end, 10);
    if (end == at) break;
    out.groups.push_back(static_cast<gid_t>(gid));
    at = end;
  }
  const std::string effective(field(status, "CapEff:"));
  const std::uint64_t bits =
      effective.empty() ? (who.uid == 0 ? ~std::uint64_t{0} : 0) : std::strtoull(effective.c_str(), nullptr, 16);
  out.fowner = ((bits >> CAP_FOWNER) & 1U) != 0;
  out.fsetid = ((bits >> CAP_FSETID) & 1U) != 0;
  out.sys_admin = ((bits >> CAP_SYS_ADMIN) & 1U) != 0;
  return out;
}

Credentials read_credentials(const Caller& who) {
  std::string status;
  const UniqueFd file(::open(cat("/proc/", who.pid, "/status").c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  for (ssize_t got = 1; file && got > 0;) {
    got = ::read(file.get(), buffer, sizeof buffer);
    if (got > 0) status.append(buffer, static_cast<std::size_t>(got));
  }
  Credentials out = parse_credentials(who, status);
  if (!status.empty() && !in_our_user_namespace(who.pid)) out.fowner = out.fsetid = out.sys_admin = false;
  return out;
}

}  // namespace sboxfs
