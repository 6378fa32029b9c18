#include "names.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "acl.hpp"
#include "attributes.hpp"
#include "sboxfs/base/fault.hpp"

namespace sboxfs {

Result<Inode*> changing_dir(Operation& op, Ino ino) {
  op.state.mu.assert_held();
  Inode* dir = op.inode(ino);
  if (dir == nullptr) return nullptr;
  if (!dir->is_dir()) return fail(ENOTDIR);
  if (dir->unlinked) return fail(ENOENT);
  SBOXFS_TRY(none_lost(op, *dir));
  return dir;
}

void touch_dir(Operation& op, Inode& dir) {
  dir.attr.mtime = dir.attr.ctime = op.now();
  op.state.journal.touch(dir);
}

void drop_link(Operation& op, Inode& inode) {
  inode.attr.ctime = op.now();
  if (inode.is_dir()) {
    inode.attr.nlink = 0;
  } else if (inode.attr.nlink == 1 || !fault::point("unlink.forget_nlink")) {
    --inode.attr.nlink;
  }
  if (inode.attr.nlink > 0) {
    op.state.journal.touch(inode);
    return;
  }
  op.charge(-static_cast<std::int64_t>(inode.attr.blocks), -1);
  inode.unlinked = true;
  if (inode.opens > 0) op.state.hold(inode, static_cast<std::int64_t>(inode.attr.blocks));
  op.state.journal.touch(inode, kChangedAttr | kChangedGone);
}

Result<NamedInode> named_inode(Operation& op, Inode& dir, std::string_view name) {
  const Tree::Name found = op.name(dir, name, op.state.tree.cookie(name));
  if (found.state == Tree::Name::State::unknown) return NamedInode{};
  if (found.state == Tree::Name::State::absent) return fail(ENOENT);
  return NamedInode{found.item, op.inode(found.item->ino)};
}

void remove_name(Operation& op, Inode& dir, const NamedInode& name) {
  op.state.tree.remove_name(dir, *name.item);
  op.state.journal.touch_name(dir, op.state.tree.cookie(name.item->name), *name.item);
  touch_dir(op, dir);
  drop_link(op, *name.inode);
}

void put_name(Operation& op, Inode& dir, std::uint64_t cookie, std::string_view name, const Inode& inode) {
  DirItem& item =
      op.state.tree.set_name(dir, cookie, name, inode.ino, static_cast<std::uint8_t>((inode.attr.mode & S_IFMT) >> 12));
  op.state.journal.touch_name(dir, cookie, item);
}

bool make_birth(Operation& op, Inode& dir, const Caller& who, mode_t mode, Birth& birth) {
  if (!op.xattrs(dir)) return false;
  // Under -o uid=/gid= whoever asks, the file is the mounting user's: the daemon runs as that user.
  birth.uid = op.options.uid ? ::geteuid() : who.uid;
  birth.gid = op.options.gid ? ::getegid() : who.gid;
  if ((dir.attr.mode & S_ISGID) != 0 && !fault::point("create.forget_setgid")) birth.gid = dir.attr.gid;
  birth.mode = mode;
  if ((dir.attr.mode & S_ISGID) != 0 && S_ISDIR(mode)) birth.mode |= S_ISGID;
  const auto acl = dir.xattrs->items.find(kAclDefault);
  if (S_ISLNK(mode)) return true;
  if (acl == dir.xattrs->items.end() || acl->second.removed) {
    birth.mode &= ~(who.umask & 0777U);
    return true;
  }
  inherit_acl(acl->second.value, birth.mode, birth.access_acl);
  if (S_ISDIR(mode)) birth.default_acl = acl->second.value;
  return true;
}

Inode* make_inode(Operation& op, Inode& dir, const Birth& birth, dev_t rdev, std::string_view target) {
  const Ino ino = op.new_ino();
  if (ino == 0) return nullptr;
  Inode& inode = op.state.tree.obtain(ino);
  const std::int64_t now = op.now();
  inode.attr.mode = birth.mode;
  inode.attr.uid = birth.uid;
  inode.attr.gid = birth.gid;
  inode.attr.nlink = S_ISDIR(birth.mode) ? 2 : 1;
  inode.attr.size = target.size();
  inode.attr.rdev = static_cast<std::uint32_t>(rdev);
  inode.attr.atime = inode.attr.mtime = inode.attr.ctime = now;
  inode.attr_valid = true;
  inode.parent = dir.ino;
  if (!target.empty()) inode.target = std::make_unique<std::string>(target);
  // Whatever a new inode has is in memory: nothing of it is ever loaded.
  if (S_ISDIR(birth.mode)) {
    inode.dir = std::make_unique<DirNode>();
    inode.dir->loaded.add(0, ~std::uint64_t{0});
  } else if (S_ISREG(birth.mode)) {
    Tree::file(inode).loaded.add(0, ~std::uint64_t{0});
    inode.file->ranges_loaded = true;
  }
  op.state.journal.touch(inode);
  if (!birth.access_acl.empty()) store_xattr(op, inode, kAclAccess, birth.access_acl);
  if (!birth.default_acl.empty()) store_xattr(op, inode, kAclDefault, birth.default_acl);
  return &inode;
}

void name_inode(Operation& op, Inode& dir, std::string_view name, Inode& inode) {
  put_name(op, dir, op.state.tree.cookie(name), name, inode);
  if (inode.is_dir()) ++dir.attr.nlink;
  touch_dir(op, dir);
  op.charge(static_cast<std::int64_t>(inode.attr.blocks), 1);
}

Result<Found> make_node(Operation& op, const Caller& who, Ino parent, std::string_view name, mode_t mode, dev_t rdev,
                        std::string_view target) {
  return op.changing(
      [&]() -> Result<Found> {
        op.state.mu.assert_held();
        SBOXFS_ASSIGN(Inode * dir, changing_dir(op, parent));
        if (dir == nullptr) return Operation::missing();
        const Tree::Name found = op.name(*dir, name, op.state.tree.cookie(name));
        if (found.state == Tree::Name::State::unknown) return Operation::missing();
        if (found.state == Tree::Name::State::present) return fail(EEXIST);
        SBOXFS_TRY(op.room_for(0, 1));
        Birth birth;
        if (!make_birth(op, *dir, who, mode, birth)) return Operation::missing();
        Inode* inode = make_inode(op, *dir, birth, rdev, target);
        if (inode == nullptr) return Operation::missing();
        name_inode(op, *dir, name, *inode);
        return op.looked_up(*inode);
      },
      take_back_lookup(op));
}

}  // namespace sboxfs
