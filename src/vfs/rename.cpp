// rename(2) and renameat2(2). Everything is found and checked first; then both directories, the moved inodes and
// whatever was replaced change in one critical section, so the new name is never missing.
#include <linux/fs.h>
#include <sys/stat.h>

#include "names.hpp"

namespace sboxfs {
namespace {

struct Side {
  Inode* dir = nullptr;
  std::string_view name;
  std::uint64_t cookie = 0;
  DirItem* item = nullptr;  ///< a living name, or null
  Inode* inode = nullptr;
};

/// Finds one side; false with op.need set.
Result<bool> find_side(Operation& op, Ino parent, Side& side) {
  op.state.mu.assert_held();
  SBOXFS_ASSIGN(side.dir, changing_dir(op, parent));
  if (side.dir == nullptr) return false;
  side.cookie = op.state.tree.cookie(side.name);
  const Tree::Name found = op.name(*side.dir, side.name, side.cookie);
  if (found.state == Tree::Name::State::unknown) return false;
  if (found.state == Tree::Name::State::absent) return true;
  side.item = found.item;
  side.inode = op.inode(found.item->ino);
  return side.inode != nullptr;
}

/// Whether `dir` is `ancestor` or below it, in `below`; false with op.need set.
bool is_below(Operation& op, Inode* dir, Ino ancestor, bool& below) {
  op.state.mu.assert_held();
  below = true;
  while (dir->ino != kRootIno) {
    if (dir->ino == ancestor) return true;
    dir = op.inode(dir->parent);
    if (dir == nullptr) return false;
  }
  below = ancestor == kRootIno;
  return true;
}

void point(Operation& op, const Side& at, const Inode& target) {
  op.state.mu.assert_held();
  put_name(op, *at.dir, at.cookie, at.name, target);
}

void moved(Operation& op, Inode& inode, Inode& from, Inode& to) {
  op.state.mu.assert_held();
  inode.attr.ctime = op.now();
  if (&from != &to && inode.is_dir()) {
    --from.attr.nlink;
    ++to.attr.nlink;
  }
  inode.parent = to.ino;
  op.state.journal.touch(inode);
}

Status exchange(Operation& op, const Side& from, const Side& to) {
  op.state.mu.assert_held();
  point(op, from, *to.inode);
  point(op, to, *from.inode);
  moved(op, *from.inode, *from.dir, *to.dir);
  moved(op, *to.inode, *to.dir, *from.dir);
  touch_dir(op, *from.dir);
  touch_dir(op, *to.dir);
  return {};
}

/// The rules for what may be replaced; op.need is set when a directory's emptiness is not known yet.
Status may_replace(Operation& op, const Side& from, const Side& to) {
  op.state.mu.assert_held();
  if (from.inode->is_dir() && !to.inode->is_dir()) return fail(ENOTDIR);
  if (!from.inode->is_dir() && to.inode->is_dir()) return fail(EISDIR);
  if (!to.inode->is_dir()) return {};
  bool any = false;
  if (!op.any_name(*to.inode, any)) return {};
  return any ? Status(fail(ENOTEMPTY)) : Status();
}

/// `whiteout`: what takes the old name's place, or null.
Status move(Operation& op, const Side& from, const Side& to, Inode* whiteout) {
  op.state.mu.assert_held();
  if (to.inode != nullptr) {
    if (to.inode->is_dir()) --to.dir->attr.nlink;
    drop_link(op, *to.inode);
  }
  point(op, to, *from.inode);
  if (whiteout != nullptr) {
    name_inode(op, *from.dir, from.name, *whiteout);
  } else {
    op.state.tree.remove_name(*from.dir, *from.item);
    op.state.journal.touch_name(*from.dir, from.cookie, *from.item);
  }
  moved(op, *from.inode, *from.dir, *to.dir);
  touch_dir(op, *from.dir);
  touch_dir(op, *to.dir);
  return {};
}

}  // namespace

Status Vfs::rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name, unsigned flags,
                   const Caller& who) {
  if ((flags & ~unsigned{RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT}) != 0) return fail(EINVAL);
  if ((flags & RENAME_EXCHANGE) != 0 && flags != RENAME_EXCHANGE) return fail(EINVAL);
  SBOXFS_TRY(check_name(name));
  SBOXFS_TRY(check_name(new_name));
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    Side from{nullptr, name};
    Side to{nullptr, new_name};
    SBOXFS_ASSIGN(const bool from_known, find_side(op, parent, from));
    if (!from_known) return Operation::missing();
    SBOXFS_ASSIGN(const bool to_known, find_side(op, new_parent, to));
    if (!to_known) return Operation::missing();
    if (from.item == nullptr) return fail(ENOENT);
    if (to.item != nullptr && (flags & RENAME_NOREPLACE) != 0) return fail(EEXIST);
    if (to.item == nullptr && (flags & RENAME_EXCHANGE) != 0) return fail(ENOENT);
    bool below = false;
    if (from.inode->is_dir()) {
      if (!is_below(op, to.dir, from.inode->ino, below)) return Operation::missing();
      if (below) return fail(EINVAL);
    }
    if (to.inode != nullptr && to.inode->is_dir()) {
      if (!is_below(op, from.dir, to.inode->ino, below)) return Operation::missing();
      if (below) return fail((flags & RENAME_EXCHANGE) != 0 ? EINVAL : ENOTEMPTY);
    }
    // Two names of one inode: nothing happens, both stay (POSIX rename).
    if (from.inode == to.inode) return {};
    SBOXFS_TRY(none_lost(op, *from.inode));
    if ((flags & RENAME_EXCHANGE) != 0) {
      SBOXFS_TRY(none_lost(op, *to.inode));
      return exchange(op, from, to);
    }
    if (to.inode != nullptr) {
      SBOXFS_TRY(may_replace(op, from, to));
      if (!op.need.nothing()) return Operation::missing();
    }
    Inode* whiteout = nullptr;
    if ((flags & RENAME_WHITEOUT) != 0) {
      SBOXFS_TRY(op.room_for(0, 1));
      Birth birth;
      if (!make_birth(op, *from.dir, who, S_IFCHR, birth)) return Operation::missing();
      whiteout = make_inode(op, *from.dir, birth, 0, {});
      if (whiteout == nullptr) return Operation::missing();
    }
    return move(op, from, to, whiteout);
  });
}

}  // namespace sboxfs
