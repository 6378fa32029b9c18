#include <fcntl.h>
#include <sys/stat.h>

#include "handles.hpp"
#include "names.hpp"

namespace sboxfs {

Result<Vfs::Created> Vfs::create(const Caller& who, Ino parent, std::string_view name, mode_t mode, int flags) {
  SBOXFS_TRY(check_name(name));
  Operation op(*this);
  return op.changing([&]() -> Result<Created> {
    op.state.mu.assert_held();
    SBOXFS_ASSIGN(Inode * dir, changing_dir(op, parent));
    if (dir == nullptr) return Operation::missing();
    const Tree::Name found = op.name(*dir, name, op.state.tree.cookie(name));
    if (found.state == Tree::Name::State::unknown) return Operation::missing();
    if (found.state == Tree::Name::State::present) {
      // Made by another mount since the kernel looked: opened, unless it had to be new.
      if ((flags & O_EXCL) != 0) return fail(EEXIST);
      Inode* inode = op.inode(found.item->ino);
      if (inode == nullptr) return Operation::missing();
      if (!inode->is_file()) return fail(ESTALE);
      if ((flags & O_TRUNC) != 0) {
        SBOXFS_TRY(truncate_inode(op, *inode, 0));
        if (!op.need.nothing()) return Operation::missing();
      }
      return Created{op.looked_up(*inode), open_handle(op, *inode, flags)};
    }
    SBOXFS_TRY(op.room_for(0, 1));
    Birth birth;
    if (!make_birth(op, *dir, who, S_IFREG | (mode & 07777U), birth)) return Operation::missing();
    Inode* inode = make_inode(op, *dir, name, birth, 0, {});
    if (inode == nullptr) return Operation::missing();
    return Created{op.looked_up(*inode), open_handle(op, *inode, flags)};
  });
}

}  // namespace sboxfs
