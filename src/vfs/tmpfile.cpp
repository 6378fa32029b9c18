#include <sys/stat.h>

#include "handles.hpp"
#include "names.hpp"

namespace sboxfs {

Result<Vfs::Created> Vfs::tmpfile(const Caller& who, Ino parent, mode_t mode, int flags) {
  Operation op(*this);
  return op.changing(
      [&]() -> Result<Created> {
        op.state.mu.assert_held();
        SBOXFS_ASSIGN(Inode * dir, changing_dir(op, parent));
        if (dir == nullptr) return Operation::missing();
        SBOXFS_TRY(op.room_for(0, 1));
        Birth birth;
        if (!make_birth(op, *dir, who, S_IFREG | (mode & 07777U), birth)) return Operation::missing();
        Inode* inode = make_inode(op, *dir, birth, 0, {});
        if (inode == nullptr) return Operation::missing();
        inode->attr.nlink = 0;
        inode->unlinked = inode->linkable = true;
        std::unique_ptr<Handle> handle = open_handle(op, *inode, flags);
        handle->wrote = true;
        op.state.hold(*inode, 0);
        return Created{op.looked_up(*inode), std::move(handle)};
      },
      take_back_created(op));
}

}  // namespace sboxfs
