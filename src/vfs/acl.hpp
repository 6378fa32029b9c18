// POSIX access control lists as the kernel hands them over: the xattrs system.posix_acl_access and _default in the
// format of linux/posix_acl_xattr.h (version 2, little endian). Source: acl(5), POSIX 1003.1e draft 17.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

inline const std::string kAclAccess = "system.posix_acl_access";
inline const std::string kAclDefault = "system.posix_acl_default";

struct AclEntry {
  std::uint16_t tag = 0;
  std::uint16_t perm = 0;
  std::uint32_t id = 0;
};

/// The entries, checked to be a valid list (EINVAL). An empty list is valid: no ACL.
Result<std::vector<AclEntry>> parse_acl(std::string_view value);
std::string format_acl(const std::vector<AclEntry>& entries);

/// The permission bits an access ACL stands for; nothing more than owner, group and other in it: `minimal`.
mode_t acl_mode(const std::vector<AclEntry>& entries, mode_t mode, bool& minimal);
/// The access ACL after chmod: owner, mask (or group) and other entries follow the new mode.
std::string chmod_acl(std::string_view value, mode_t mode);
/// What a new inode gets from its directory's default ACL: its mode is narrowed, and `access` is its access ACL (empty
/// when the mode says it all).
void inherit_acl(std::string_view default_acl, mode_t& mode, std::string& access);

}  // namespace sboxfs
