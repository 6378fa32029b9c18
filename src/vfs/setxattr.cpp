#include <sys/stat.h>
#include <sys/xattr.h>

#include "acl.hpp"
#include "attributes.hpp"

namespace sboxfs {
namespace {

constexpr std::size_t kEmptyAcl = 4;  // a version without entries: no ACL at all
constexpr std::size_t kMostValueBytes = 64 * 1024;
// All values of one inode together: what fits comfortably into one row set.
constexpr std::size_t kMostTotalBytes = 1024 * 1024;

/// An access ACL also is the mode; one that says no more than the mode is not kept.
Result<bool> apply_access_acl(Operation& op, Inode& inode, std::string_view value) {
  op.state.mu.assert_held();
  SBOXFS_ASSIGN(const std::vector<AclEntry> entries, parse_acl(value));
  bool minimal = false;
  inode.attr.mode = acl_mode(entries, inode.attr.mode, minimal);
  return !minimal;
}

Result<bool> check_default_acl(const Inode& inode, std::string_view value) {
  SBOXFS_ASSIGN(const std::vector<AclEntry> entries, parse_acl(value));
  if (!inode.is_dir()) return entries.empty() ? Result<bool>(false) : Result<bool>(fail(EACCES));
  return !entries.empty();
}

std::size_t total_bytes(const XattrNode& node) {
  std::size_t bytes = 0;
  for (const auto& [name, item] : node.items)
    if (!item.removed) bytes += name.size() + item.value.size();
  return bytes;
}

}  // namespace

Status Vfs::setxattr(Ino ino, const std::string& name, std::string_view value, int flags, bool kill_sgid) {
  SBOXFS_TRY(check_xattr_name(name));
  if (value.size() > kMostValueBytes) return fail(E2BIG);
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    const std::string* old = find_xattr(*inode, name);
    const bool exists = old != nullptr;
    if ((flags & XATTR_CREATE) != 0 && exists) return fail(EEXIST);
    if ((flags & XATTR_REPLACE) != 0 && !exists) return fail(ENODATA);
    const std::size_t replaced = exists ? name.size() + old->size() : 0;
    if (total_bytes(*inode->xattrs) - replaced + name.size() + value.size() > kMostTotalBytes) return fail(ENOSPC);
    const mode_t mode = inode->attr.mode;
    bool keep = true;
    if (name == kAclAccess) {
      SBOXFS_ASSIGN(keep, apply_access_acl(op, *inode, value));
      if (kill_sgid && value.size() > kEmptyAcl) inode->attr.mode &= ~std::uint32_t{S_ISGID};
    } else if (name == kAclDefault) {
      SBOXFS_ASSIGN(keep, check_default_acl(*inode, value));
    }
    // As disk file systems do it: what is so already is no change.
    const bool same = keep ? exists && *old == value : !exists;
    if (same && inode->attr.mode == mode) return {};
    if (keep) {
      store_xattr(op, *inode, name, value);
    } else {
      erase_xattr(op, *inode, name);
    }
    inode->attr.ctime = op.now();
    op.state.journal.touch(*inode);
    return {};
  });
}

}  // namespace sboxfs
