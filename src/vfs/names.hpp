// Steps shared by the operations that change names.
#pragma once

#include "handles.hpp"
#include "operation.hpp"

namespace sboxfs {

/// The directory `ino` for changing its names: ENOTDIR, ENOENT (it was removed), as none_lost; null with op.need set.
Result<Inode*> changing_dir(Operation& op, Ino ino) REQUIRES(op.state.mu);

/// mtime and ctime of a directory whose names changed.
void touch_dir(Operation& op, Inode& dir) REQUIRES(op.state.mu);

/// Takes one link from the inode (the caller has removed the name): nlink, ctime, usage, the unlinked mark.
void drop_link(Operation& op, Inode& inode) REQUIRES(op.state.mu);

/// A name and the inode it names.
struct NamedInode {
  DirItem* item = nullptr;
  Inode* inode = nullptr;
};
/// What `name` in `dir` names: ENOENT; a null inode with op.need set.
Result<NamedInode> named_inode(Operation& op, Inode& dir, std::string_view name) REQUIRES(op.state.mu);

/// Makes `name` point to the inode, whatever it pointed to; links and times are the caller's.
void put_name(Operation& op, Inode& dir, std::uint64_t cookie, std::string_view name, const Inode& inode)
    REQUIRES(op.state.mu);

/// Takes the name out of `dir` and its link from the inode, times included.
void remove_name(Operation& op, Inode& dir, const NamedInode& name) REQUIRES(op.state.mu);

/// Takes back the lookup counted for an answer that nobody gets. For Operation::changing().
inline auto take_back_lookup(Operation& op) {
  return [&op](const Result<Found>& answer) {
    op.state.mu.assert_held();
    forget_lookups(op.state, answer->ino, 1);
  };
}

/// The same for a file that was created and opened.
inline auto take_back_created(Operation& op) {
  return [&op](const Result<Vfs::Created>& made) {
    op.state.mu.assert_held();
    close_handle(op.state, *made->handle);
    forget_lookups(op.state, made->found.ino, 1);
  };
}

/// What a new inode gets from its directory (setgid, default ACL) and its maker (owner, umask).
struct Birth {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string access_acl;   ///< empty: none
  std::string default_acl;  ///< of a new directory; empty: none
};
/// False with op.need set when the directory's ACL must be loaded first.
bool make_birth(Operation& op, Inode& dir, const Caller& who, mode_t mode, Birth& birth) REQUIRES(op.state.mu);

/// Makes a new inode that has no name yet; everything needed has been found before. Null when out of numbers.
Inode* make_inode(Operation& op, Inode& dir, const Birth& birth, dev_t rdev, std::string_view target)
    REQUIRES(op.state.mu);

/// Gives a new inode its name; it counts from now on.
void name_inode(Operation& op, Inode& dir, std::string_view name, Inode& inode) REQUIRES(op.state.mu);

/// mknod, mkdir and symlink whole.
Result<Found> make_node(Operation& op, const Caller& who, Ino parent, std::string_view name, mode_t mode, dev_t rdev,
                        std::string_view target);

}  // namespace sboxfs
