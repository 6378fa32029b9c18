#include "names.hpp"

namespace sboxfs {

Status Vfs::rmdir(Ino parent, std::string_view name) {
  if (name == ".") return fail(EINVAL);
  if (name == "..") return fail(ENOTEMPTY);
  SBOXFS_TRY(check_name(name));
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    SBOXFS_ASSIGN(Inode * dir, changing_dir(op, parent));
    if (dir == nullptr) return Operation::missing();
    SBOXFS_ASSIGN(const NamedInode found, named_inode(op, *dir, name));
    if (found.inode == nullptr) return Operation::missing();
    if (!found.inode->is_dir()) return fail(ENOTDIR);
    bool any = false;
    if (!op.any_name(*found.inode, any)) return Operation::missing();
    if (any) return fail(ENOTEMPTY);
    --dir->attr.nlink;
    remove_name(op, *dir, found);
    return {};
  });
}

}  // namespace sboxfs
