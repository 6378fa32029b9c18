#include "attributes.hpp"

namespace sboxfs {

Status Vfs::removexattr(Ino ino, const std::string& name) {
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    if (!erase_xattr(op, *inode, name)) return fail(ENODATA);
    inode->attr.ctime = op.now();
    op.state.journal.touch(*inode);
    return {};
  });
}

}  // namespace sboxfs
