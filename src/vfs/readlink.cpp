#include <sys/stat.h>

#include "handles.hpp"
#include "operation.hpp"

namespace sboxfs {

Result<std::string> Vfs::readlink(Ino ino) {
  Operation op(*this);
  return op.reading([&]() -> Result<std::string> {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr) return Operation::missing();
    if (!S_ISLNK(inode->attr.mode)) return fail(EINVAL);
    touch_atime(op, *inode);
    return inode->target ? *inode->target : std::string();
  });
}

}  // namespace sboxfs
