#include "query.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kDelete{"delete_orphans", "SELECT sboxfs.delete_orphans($1, $2, 20000)"};

}  // namespace

Result<std::uint64_t> delete_orphans(PgPool& pool, const std::string& tenant, unsigned limit) {
  PgParams params;
  params.text(tenant).int8(limit);
  SBOXFS_ASSIGN(const PgRows rows, store_detail::run(pool, kDelete, params));
  return rows.uint8(0, 0);
}

}  // namespace sboxfs
