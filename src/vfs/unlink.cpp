#include "handles.hpp"
#include "names.hpp"

namespace sboxfs {

Status Vfs::unlink(Ino parent, std::string_view name) {
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
    if (inode->is_dir()) return fail(EISDIR);
    op.state.tree.remove_name(*dir, *found.item);
    op.state.journal.touch_name(*dir, cookie, *found.item);
    touch_dir(op, *dir);
    drop_link(op, *inode);
    return {};
  });
}

}  // namespace sboxfs
