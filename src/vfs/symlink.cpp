#include <sys/stat.h>

#include "names.hpp"

namespace sboxfs {

Result<Found> Vfs::symlink(const Caller& who, Ino parent, std::string_view name, std::string_view target) {
  SBOXFS_TRY(check_name(name));
  if (target.empty()) return fail(ENOENT);
  if (target.size() >= 4096) return fail(ENAMETOOLONG);
  Operation op(*this);
  return make_node(op, who, parent, name, S_IFLNK | 0777U, 0, target);
}

}  // namespace sboxfs
