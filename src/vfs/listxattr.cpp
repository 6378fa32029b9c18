#include <algorithm>

#include "operation.hpp"

namespace sboxfs {
namespace {
constexpr std::string_view kTrusted = "trusted.";
}  // namespace

Result<std::vector<std::string>> Vfs::listxattr(const Caller& who, Ino ino) {
  Operation op(*this);
  return op.reading([&]() -> Result<std::vector<std::string>> {
    op.state.mu.assert_held();
    Inode* inode = op.inode(ino);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    std::vector<std::string> names;
    for (const auto& [name, item] : inode->xattrs->items)
      if (!item.removed) names.push_back(name);
    const auto trusted = [](const std::string& name) { return name.compare(0, kTrusted.size(), kTrusted) == 0; };
    if (std::none_of(names.begin(), names.end(), trusted)) return names;
    const Credentials* caller = op.credentials(who);
    if (caller == nullptr) return Operation::missing();
    if (!caller->sys_admin) names.erase(std::remove_if(names.begin(), names.end(), trusted), names.end());
    return names;
  });
}

}  // namespace sboxfs
