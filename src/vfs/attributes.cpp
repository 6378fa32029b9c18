#include "attributes.hpp"

#include <algorithm>

#include "acl.hpp"

namespace sboxfs {
namespace {

constexpr std::size_t kMostNameBytes = 255;  // XATTR_NAME_MAX

void update_flag(Operation& op, Inode& inode) {
  op.state.mu.assert_held();
  const auto& items = inode.xattrs->items;
  const bool any = std::any_of(items.begin(), items.end(), [](const auto& item) { return !item.second.removed; });
  if (any) {
    inode.attr.flags |= kHasXattrs;
  } else {
    inode.attr.flags &= ~kHasXattrs;
  }
  op.state.journal.touch(inode, kChangedAttr | kChangedXattr);
}

}  // namespace

Status check_xattr_name(const std::string& name) {
  if (name.empty() || name.size() > kMostNameBytes) return fail(ERANGE);
  if (name == kAclAccess || name == kAclDefault) return {};
  for (const std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (name == prefix) return fail(EINVAL);
    if (name.compare(0, prefix.size(), prefix) == 0) return {};
  }
  return fail(EOPNOTSUPP);
}

void store_xattr(Operation& op, Inode& inode, const std::string& name, std::string_view value) {
  Tree::xattrs(inode).loaded = true;
  XattrItem& item = inode.xattrs->items[name];
  item.value = value;
  item.removed = false;
  op.state.journal.touch_xattr(inode, name, item);
  update_flag(op, inode);
}

bool erase_xattr(Operation& op, Inode& inode, const std::string& name) {
  const auto at = inode.xattrs->items.find(name);
  if (at == inode.xattrs->items.end() || at->second.removed) return false;
  at->second.removed = true;
  at->second.value.clear();
  op.state.journal.touch_xattr(inode, name, at->second);
  update_flag(op, inode);
  return true;
}

const std::string* find_xattr(Inode& inode, const std::string& name) {
  const auto at = inode.xattrs->items.find(name);
  return at == inode.xattrs->items.end() || at->second.removed ? nullptr : &at->second.value;
}

}  // namespace sboxfs
