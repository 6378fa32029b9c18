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
    const std::uint64_t cookie = op.state.tree.cookie(name);
    const Tree::Name found = op.name(*dir, name, cookie);
    if (found.state == Tree::Name::State::unknown) return Operation::missing();
    if (found.state == Tree::Name::State::absent) return fail(ENOENT);
    Inode* inode = op.inode(found.item->ino);
    if (inode == nullptr) return Operation::missing();
    if (!inode->is_dir()) return fail(ENOTDIR);
    bool any = false;
    if (!op.any_name(*inode, any)) return Operation::missing();
    if (any) return fail(ENOTEMPTY);
    op.state.tree.remove_name(*dir, *found.item);
    op.state.journal.touch_name(*dir, cookie, *found.item);
    --dir->attr.nlink;
    touch_dir(op, *dir);
    drop_link(op, *inode);
    return {};
  });
}

}  // namespace sboxfs
