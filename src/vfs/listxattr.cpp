#include "operation.hpp"

namespace sboxfs {

Result<std::vector<std::string>> Vfs::listxattr(Ino ino) {
  Operation op(*this);
  return op.reading([&]() -> Result<std::vector<std::string>> {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    std::vector<std::string> names;
    for (const auto& [name, item] : inode->xattrs->items)
      if (!item.removed) names.push_back(name);
    return names;
  });
}

}  // namespace sboxfs
