#include <sys/stat.h>

#include "names.hpp"

namespace sboxfs {

Result<Found> Vfs::mknod(const Caller& who, Ino parent, std::string_view name, mode_t mode, dev_t rdev) {
  SBOXFS_TRY(check_name(name));
  Operation op(*this);
  return make_node(op, who, parent, name, mode, rdev, {});
}

}  // namespace sboxfs
