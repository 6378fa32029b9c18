// Steps shared by the operations on attributes and extended attributes.
#pragma once

#include "operation.hpp"

namespace sboxfs {

/// The name spaces ext4 has (user., trusted., security., the two ACLs): else EOPNOTSUPP. EINVAL: nothing behind the
/// prefix. ERANGE: empty, or longer than 255 bytes.
Status check_xattr_name(const std::string& name);

/// Sets or removes a value in memory and marks it; ctime is the caller's. The inode's xattrs must be loaded (a new
/// inode's are).
void store_xattr(Operation& op, Inode& inode, const std::string& name, std::string_view value) REQUIRES(op.state.mu);
/// False when there is none with that name.
bool erase_xattr(Operation& op, Inode& inode, const std::string& name) REQUIRES(op.state.mu);
/// The value, or null. The inode's xattrs must be loaded.
const std::string* find_xattr(Inode& inode, const std::string& name);

}  // namespace sboxfs
