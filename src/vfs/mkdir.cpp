#include <sys/stat.h>

#include "names.hpp"

namespace sboxfs {

Result<Found> Vfs::mkdir(const Caller& who, Ino parent, std::string_view name, mode_t mode) {
  SBOXFS_TRY(check_name(name));
  Operation op(*this);
  return make_node(op, who, parent, name, S_IFDIR | (mode & 07777U), 0, {});
}

}  // namespace sboxfs
