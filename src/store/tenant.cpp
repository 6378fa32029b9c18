#include "sboxfs/store/tenant.hpp"

#include "sboxfs/base/text.hpp"
#include "sboxfs/pg/conninfo.hpp"

namespace sboxfs {

Status check_tenant_name(std::string_view tenant) {
  constexpr std::size_t kMaxBytes = 54;
  bool good = !tenant.empty() && tenant.size() <= kMaxBytes && tenant[0] != '-' && tenant[0] != '_';
  for (char c : tenant) {
    good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-');
  }
  if (!good)
    return fail(EINVAL, "a tenant's name has 1 to 54 characters a-z 0-9 _ - and begins with a letter or digit");
  return {};
}

std::string tenant_role(std::string_view tenant) { return cat("sboxfs_t_", tenant); }

Result<std::string> tenant_conninfo(const std::string& conninfo, std::string_view tenant) {
  SBOXFS_TRY(check_tenant_name(tenant));
  SBOXFS_ASSIGN(Conninfo parsed, Conninfo::parse(conninfo));
  const std::string role = tenant_role(tenant);
  SBOXFS_ASSIGN(const Conninfo defaults, Conninfo::defaults());
  const std::string user = parsed.get("user").empty() ? defaults.get("user") : parsed.get("user");
  if (user != role) parsed.erase("password");
  // The database must not follow the user (libpq's last resort): it is the administrator's.
  if (parsed.get("dbname").empty())
    parsed.set("dbname", defaults.get("dbname").empty() ? user : defaults.get("dbname"));
  parsed.set("user", role);
  return parsed.text();
}

}  // namespace sboxfs
