// Tenants and the database role each one is (design, section 4).
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// 1 to 54 characters [a-z0-9_-], starting with a letter or digit (role names have 63 bytes); EINVAL otherwise.
Status check_tenant_name(std::string_view tenant);

/// "sboxfs_t_<tenant>": the role sessions of the tenant connect as.
std::string tenant_role(std::string_view tenant);

/// `conninfo` (a libpq conninfo string or URI) with the tenant's role as its user. When it names another user, that
/// user's password is left out (libpq then looks into PGPASSFILE for the role): so one address serves `init`, which
/// connects as an administrator, and the sessions. EINVAL: not a conninfo (the message does not repeat it).
Result<std::string> tenant_conninfo(const std::string& conninfo, std::string_view tenant);

}  // namespace sboxfs
