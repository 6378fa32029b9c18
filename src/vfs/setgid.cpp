#include <sys/stat.h>

#include "operation.hpp"

namespace sboxfs {
namespace {

bool is_guarded(const Inode& inode) { return inode.is_file() && (inode.attr.mode & (S_ISGID | S_IXGRP)) == S_ISGID; }

}  // namespace

std::optional<gid_t> Vfs::guarded_setgid(Ino ino) {
  Operation op(*this);
  const Result<std::optional<gid_t>> gid = op.reading([&]() -> Result<std::optional<gid_t>> {
    op.state.mu.assert_held();
    const Inode* inode = op.inode(ino);
    if (inode == nullptr) return Operation::missing();
    return is_guarded(*inode) ? std::optional<gid_t>(inode->attr.gid) : std::nullopt;
  });
  // An error shows itself in the change that follows.
  return gid.ok() ? *gid : std::nullopt;
}

Status Vfs::drop_setgid(Ino ino) {
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr) return Operation::missing();
    if (!is_guarded(*inode)) return {};
    inode->attr.mode &= ~std::uint32_t{S_ISGID};
    inode->attr.ctime = op.now();
    op.state.journal.touch(*inode);
    return {};
  });
}

}  // namespace sboxfs
