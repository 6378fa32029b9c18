// What others changed, dropped from memory: exactly the names, inodes and byte ranges a delta names.
#include "sboxfs/base/clock.hpp"
#include "sboxfs/tree/tree.hpp"

namespace sboxfs {
namespace {

void drop_chunks(FileNode& file, const Range& range) {
  if (range.to <= range.from) return;
  const std::uint64_t first = range.from / kChunkSize;
  const std::uint64_t last = (range.to - 1) / kChunkSize;
  file.loaded.remove(first, last);
  for (auto at = file.chunks.lower_bound(static_cast<std::uint32_t>(first));
       at != file.chunks.end() && at->first <= last;) {
    const bool clean = at->second.dirty == 0 && at->second.in_flight == 0;
    at = clean ? file.chunks.erase(at) : std::next(at);
  }
}

}  // namespace

void Tree::drop_name(const NameChange& change) {
  Inode* dir = peek(change.parent);
  if (dir == nullptr || !dir->dir) return;
  const std::uint64_t at = cookie(change.name);
  erase_clean(*dir, at, at);
  dir->dir->loaded.remove(at, at);
}

void Tree::drop_attr(const InodeChange& change) {
  Inode* inode = peek(change.ino);
  if (inode == nullptr) return;
  if ((change.what & kChangedGone) != 0 && inode->opens > 0) inode->unlinked = true;
  if (inode->dirty == 0) inode->attr_valid = false;
}

std::vector<Ino> Tree::drop(const Delta& delta) {
  for (const NameChange& change : delta.names) drop_name(change);
  std::vector<Ino> gone_but_open;
  const std::int64_t now = SystemClock().monotonic_ns();
  for (const InodeChange& change : delta.inodes) {
    Inode* inode = peek(change.ino);
    if (inode == nullptr) continue;
    if ((change.what & kChangedGone) != 0) {
      if (inode->opens == 0) {
        if (inode->pins == 0) erase(change.ino);
        continue;
      }
      gone_but_open.push_back(change.ino);
    }
    drop_attr(change);
    // Allocations come and go without a change of data.
    if (inode->file && inode->file->ranges_dirty == 0) inode->file->ranges_loaded = false;
    if ((change.what & kChangedData) != 0) inode->taken_back_ns = now;
    if ((change.what & kChangedData) != 0 && inode->file)
      for (const Range& range : change.data) drop_chunks(*inode->file, range);
    if ((change.what & kChangedXattr) != 0 && inode->xattrs && inode->pins == 0) inode->xattrs.reset();
  }
  return gone_but_open;
}

Delta Tree::everything() const {
  Delta all;
  for (const auto& [ino, inode] : inodes_) {
    all.inodes.push_back({ino, kChangedAttr | kChangedData, {{0, kMaxFileSize}}});
    if (!inode.dir) continue;
    for (const auto& [cookie, item] : inode.dir->items) all.names.push_back({ino, item.name});
  }
  for (const auto& [ino, lookups] : aside_)
    all.inodes.push_back({ino, kChangedAttr | kChangedData, {{0, kMaxFileSize}}});
  return all;
}

void Tree::drop_all() {
  std::vector<Ino> closed;
  const std::int64_t now = SystemClock().monotonic_ns();
  for (auto& [ino, inode] : inodes_) {
    if (inode.opens == 0) {
      closed.push_back(ino);
      continue;
    }
    drop_listing(inode);
    inode.file.reset();
    inode.xattrs.reset();
    inode.target.reset();
    inode.attr_valid = inode.in_store = false;
    inode.taken_back_ns = now;
    inode.dirty = inode.pins = 0;
    inode.changed = 0;
  }
  for (Ino ino : closed) erase(ino);
}

}  // namespace sboxfs
