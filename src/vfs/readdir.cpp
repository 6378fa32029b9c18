#include <dirent.h>

#include "handles.hpp"
#include "operation.hpp"

namespace sboxfs {
namespace {

constexpr std::uint64_t kDotDot = 1;  // offsets: 0 the start, 1 behind ".", 2 behind ".."
constexpr std::uint64_t kFirstName = 2;

void add_dots(Operation& op, const Inode& dir, std::uint64_t offset, std::vector<Listed>& out) {
  op.state.mu.assert_held();
  if (offset < kDotDot) out.push_back({".", dir.ino, DT_DIR, kDotDot, false, op.found(dir).attr});
  if (offset >= kFirstName) return;
  const Ino up = dir.ino == kRootIno ? kRootIno : dir.parent;
  out.push_back({"..", up, DT_DIR, kFirstName, false, {}});
}

}  // namespace

Result<std::vector<Listed>> Vfs::readdir(Ino ino, std::uint64_t offset, std::size_t limit, bool plus) {
  Operation op(*this);
  return op.reading([&]() -> Result<std::vector<Listed>> {
    op.state.mu.assert_held();
    std::vector<Listed> out;
    Inode* dir = op.inode(ino);
    if (dir == nullptr) return Operation::missing();
    if (!dir->is_dir()) return fail(ENOTDIR);
    if (offset == 0) touch_atime(op, *dir);
    add_dots(op, *dir, offset, out);
    if (dir->unlinked) return out;
    // An offset is the cookie of the last entry that was sent: go on with the next cookie.
    const std::uint64_t from = offset <= kFirstName ? 0 : offset + 1;
    const std::optional<std::uint64_t> gap = dir->dir->loaded.first_gap(from);
    const std::uint64_t known_to = gap ? *gap : kLastCookie + 1;  // exclusive
    auto at = dir->dir->items.lower_bound(from);
    for (; at != dir->dir->items.end() && at->first < known_to; ++at) {
      const DirItem& item = at->second;
      if (item.ino == 0) continue;
      const bool same = !out.empty() && out.back().next == at->first;
      if (out.size() >= limit && !same) return out;
      if (same) out.back().more_of_same = true;
      out.push_back({item.name, item.ino, item.type, at->first, false, {}});
      if (!plus) continue;
      if (const Inode* inode = op.state.tree.find_loaded(item.ino)) out.back().attr = op.found(*inode).attr;
    }
    // What is known goes out first; only without a name in hand the next page is loaded.
    const bool at_end = known_to > kLastCookie;
    const bool has_names = !out.empty() && out.back().next > kFirstName;
    if (at_end || has_names || out.size() >= limit) return out;
    op.need.kind = Need::Kind::listing;
    op.need.ino = ino;
    op.need.cookie = known_to;
    return Operation::missing();
  });
}

}  // namespace sboxfs
