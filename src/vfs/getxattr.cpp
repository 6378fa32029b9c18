#include "attributes.hpp"

namespace sboxfs {

Result<std::string> Vfs::getxattr(Ino ino, const std::string& name) {
  SBOXFS_TRY(check_xattr_name(name));
  Operation op(*this);
  return op.reading([&]() -> Result<std::string> {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    const std::string* value = find_xattr(*inode, name);
    if (value == nullptr) return fail(ENODATA);
    return *value;
  });
}

}  // namespace sboxfs
