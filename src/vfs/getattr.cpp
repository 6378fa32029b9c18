#include "operation.hpp"

namespace sboxfs {

Result<Found> Vfs::getattr(Ino ino, const Handle* handle) {
  (void)handle;  // an unlinked inode stays in memory, or in the database as an orphan, while it is open
  Operation op(*this);
  return op.reading([&]() -> Result<Found> {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr) return Operation::missing();
    return op.found(*inode);
  });
}

}  // namespace sboxfs
