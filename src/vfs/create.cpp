#include <fcntl.h>
#include <sys/stat.h>

#include "handles.hpp"
#include "names.hpp"

namespace sboxfs {

Result<Vfs::Created> Vfs::create(const Caller& who, Ino parent, std::string_view name, mode_t mode, int flags) {
  SBOXFS_TRY(check_name(name));
  Operation op(*this);
  return op.changing(
      [&]() -> Result<Created> {
        op.state.mu.assert_held();
        SBOXFS_ASSIGN(Inode * dir, changing_dir(op, parent));
        if (dir == nullptr) return Operation::missing();
        const Tree::Name found = op.name(*dir, name, op.state.tree.cookie(name));
        if (found.state == Tree::Name::State::unknown) return Operation::missing();
        // Made by another mount since the kernel looked. A created file is opened without a check of its permissions,
        // so this one must not be answered here: ESTALE makes the kernel look again and open it like any other.
        if (found.state == Tree::Name::State::present) return fail((flags & O_EXCL) != 0 ? EEXIST : ESTALE);
        SBOXFS_TRY(op.room_for(0, 1));
        Birth birth;
        if (!make_birth(op, *dir, who, S_IFREG | (mode & 07777U), birth)) return Operation::missing();
        Inode* inode = make_inode(op, *dir, birth, 0, {});
        if (inode == nullptr) return Operation::missing();
        name_inode(op, *dir, name, *inode);
        std::unique_ptr<Handle> handle = open_handle(op, *inode, flags);
        handle->wrote = true;
        return Created{op.looked_up(*inode), std::move(handle)};
      },
      take_back_created(op));
}

}  // namespace sboxfs
