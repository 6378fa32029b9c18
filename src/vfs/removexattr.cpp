#include "acl.hpp"
#include "attributes.hpp"

namespace sboxfs {

Status Vfs::removexattr(Ino ino, const std::string& name) {
  SBOXFS_TRY(check_xattr_name(name));
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    if (!erase_xattr(op, *inode, name)) {
      // No ACL is what was asked for.
      if (name == kAclAccess || name == kAclDefault) return {};
      return fail(ENODATA);
    }
    inode->attr.ctime = op.now();
    op.state.journal.touch(*inode);
    return {};
  });
}

}  // namespace sboxfs
