#include "credentials.hpp"

#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "sboxfs/base/process_status.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

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
  const std::string groups(status_field(status, "Groups:"));
  for (const char* at = groups.c_str(); *at != '\0';) {
    char* end = nullptr;
    const unsigned long gid = std::strtoul(at, &end, 10);
    if (end == at) break;
    out.groups.push_back(static_cast<gid_t>(gid));
    at = end;
  }
  const std::string effective(status_field(status, "CapEff:"));
  const std::uint64_t bits =
      effective.empty() ? (who.uid == 0 ? ~std::uint64_t{0} : 0) : std::strtoull(effective.c_str(), nullptr, 16);
  out.fowner = ((bits >> CAP_FOWNER) & 1U) != 0;
  out.fsetid = ((bits >> CAP_FSETID) & 1U) != 0;
  out.sys_admin = ((bits >> CAP_SYS_ADMIN) & 1U) != 0;
  return out;
}

Credentials read_credentials(const Caller& who) {
  const std::string status = read_process_status(who.pid);
  Credentials out = parse_credentials(who, status);
  if (!status.empty() && !in_our_user_namespace(who.pid)) out.fowner = out.fsetid = out.sys_admin = false;
  return out;
}

}  // namespace sboxfs
