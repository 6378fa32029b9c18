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
    SBOXFS_ASSIGN(const NamedInode found, named_inode(op, *dir, name));
    if (found.inode == nullptr) return Operation::missing();
    if (found.inode->is_dir()) return fail(EISDIR);
    remove_name(op, *dir, found);
    return {};
  });
}

}  // namespace sboxfs
