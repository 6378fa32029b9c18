#include <sys/stat.h>

#include "handles.hpp"
#include "operation.hpp"

namespace sboxfs {

Result<Found> Vfs::lookup(Ino parent, std::string_view name, std::uint64_t& absent) {
  absent = ~std::uint64_t{0};
  if (name.size() > kMaxNameBytes) return fail(ENAMETOOLONG);
  Operation op(*this);
  return op.reading([&]() -> Result<Found> {
    op.state.mu.assert_held();
    Inode* dir = op.inode(parent);
    if (dir == nullptr) return Operation::missing();
    // A file handle (NFS, open_by_handle_at), also of a file, is found by "." and connected to the tree by "..".
    if (name == ".") {
      if (dir->unlinked && dir->opens == 0) return fail(ESTALE);
      return op.looked_up(*dir);
    }
    if (!dir->is_dir()) return fail(ENOTDIR);
    if (name == "..") {
      Inode* up = op.inode(dir->ino == kRootIno ? kRootIno : dir->parent);
      if (up == nullptr) return Operation::missing();
      return op.looked_up(*up);
    }
    if (dir->unlinked) return fail(ENOENT);
    const Tree::Name found = op.name(*dir, name, op.state.tree.cookie(name));
    if (found.state == Tree::Name::State::unknown) return Operation::missing();
    if (found.state == Tree::Name::State::absent) {
      absent = op.state.generation;
      return fail(ENOENT);
    }
    Inode* inode = op.inode(found.item->ino);
    if (inode == nullptr) return Operation::missing();
    return op.looked_up(*inode);
  });
}

void Vfs::remember(Ino ino) {
  MutexLock lock(state_.mu);
  state_.tree.remember(ino, 1);
}

void Vfs::forget(Ino ino, std::uint64_t count) {
  MutexLock lock(state_.mu);
  forget_lookups(state_, ino, count);
}

}  // namespace sboxfs
