#include <sys/stat.h>

#include "names.hpp"

namespace sboxfs {
namespace {
// ext4 has 65,000; nothing here needs a limit, but programs expect one (EMLINK) before the counter ends.
constexpr std::uint32_t kMostLinks = 65'000;

/// What tmpfile() made becomes a file like any other.
void first_name(Operation& op, Inode& dir, std::string_view name, Inode& inode) {
  op.state.mu.assert_held();
  inode.unlinked = inode.linkable = false;
  op.state.let_go(inode);
  // Committed as an orphan before: this takes the orphan's row back.
  if (inode.orphan_in_store) op.state.journal.unpin(inode);
  name_inode(op, dir, name, inode);
}

}  // namespace

Result<Found> Vfs::link(Ino ino, Ino parent, std::string_view name) {
  SBOXFS_TRY(check_name(name));
  Operation op(*this);
  return op.changing(
      [&]() -> Result<Found> {
        op.state.mu.assert_held();
        SBOXFS_ASSIGN(Inode * dir, changing_dir(op, parent));
        if (dir == nullptr) return Operation::missing();
        Inode* inode = op.inode(ino);
        if (inode == nullptr) return Operation::missing();
        const std::uint64_t cookie = op.state.tree.cookie(name);
        const Tree::Name found = op.name(*dir, name, cookie);
        if (found.state == Tree::Name::State::unknown) return Operation::missing();
        if (found.state == Tree::Name::State::present) return fail(EEXIST);
        if (inode->is_dir()) return fail(EPERM);
        // What nobody has open any more may be gone with the next batch.
        if (inode->unlinked && (!inode->linkable || inode->opens == 0)) return fail(ENOENT);
        if (inode->attr.nlink >= kMostLinks) return fail(EMLINK);
        SBOXFS_TRY(none_lost(op, *inode));
        ++inode->attr.nlink;
        inode->attr.ctime = op.now();
        op.state.journal.touch(*inode);
        if (inode->unlinked) {
          first_name(op, *dir, name, *inode);
          return op.looked_up(*inode);
        }
        put_name(op, *dir, cookie, name, *inode);
        touch_dir(op, *dir);
        return op.looked_up(*inode);
      },
      take_back_lookup(op));
}

}  // namespace sboxfs
