#include "sboxfs/journal/journal.hpp"

#include <algorithm>

namespace sboxfs {
namespace {

/// Adds [from, to) to a sorted list of disjoint ranges.
void add_range(std::vector<Range>& ranges, std::uint64_t from, std::uint64_t to) {
  auto at = std::lower_bound(ranges.begin(), ranges.end(), from,
                             [](const Range& range, std::uint64_t value) { return range.to < value; });
  auto last = at;
  while (last != ranges.end() && last->from <= to) {
    from = std::min(from, last->from);
    to = std::max(to, last->to);
    ++last;
  }
  at = ranges.erase(at, last);
  ranges.insert(at, {from, to});
}

// Beyond this many pieces the change row names their hull: a delta must stay small.
constexpr std::size_t kMaxChangedRanges = 64;
constexpr std::size_t kMostLazy = 100'000;

}  // namespace

bool Journal::list(std::uint64_t& dirty, Inode& owner) {
  owner.pins = gathering_;
  if (dirty == gathering_) return false;
  dirty = gathering_;
  ++ops_;
  return true;
}

void Journal::touch(Inode& inode, std::uint8_t what) {
  if (list(inode.dirty, inode)) keys_.inodes.push_back(inode.ino);
  inode.changed |= what;
}

void Journal::touch_lazily(Inode& inode) {
  // Without a batch for long, the list must not grow on and on: who is not on it then is left out.
  if (lazy_.size() < kMostLazy && (lazy_.empty() || lazy_.back() != inode.ino)) lazy_.push_back(inode.ino);
}

void Journal::touch_name(Inode& dir, std::uint64_t cookie, DirItem& item) {
  if (!list(item.dirty, dir)) return;
  keys_.names.push_back({dir.ino, cookie, item.name});
  bytes_ += item.name.size();
}

void Journal::touch_chunk(Inode& inode, std::uint32_t idx, ChunkNode& chunk, std::uint32_t from, std::uint32_t to) {
  if (list(chunk.dirty, inode)) {
    keys_.chunks.push_back({inode.ino, idx});
    chunk.dirty_from = from;
    chunk.dirty_to = to;
    chunk.counted = 0;
  } else {
    chunk.dirty_from = std::min(chunk.dirty_from, from);
    chunk.dirty_to = std::max(chunk.dirty_to, to);
  }
  // The memory it holds, however little of it changed, and however often.
  const std::uint32_t held = chunk.buffer ? static_cast<std::uint32_t>(chunk.buffer->size()) : 0;
  if (held <= chunk.counted) return;
  bytes_ += held - chunk.counted;
  chunk.counted = held;
}

void Journal::touch_cut(Inode& inode, std::uint32_t from) {
  FileNode& file = Tree::file(inode);
  const std::uint64_t before = file.cut_dirty;
  if (list(file.cut_dirty, inode)) keys_.files.push_back(inode.ino);
  file.cut_from = before == gathering_ ? std::min(file.cut_from, from) : from;
  // What was cut off is known: holes.
  file.loaded.add(from, ~std::uint32_t{0});
}

void Journal::touch_ranges(Inode& inode) {
  if (list(Tree::file(inode).ranges_dirty, inode)) keys_.files.push_back(inode.ino);
}

void Journal::touch_xattr(Inode& inode, const std::string& name, XattrItem& item) {
  if (list(item.dirty, inode)) keys_.xattrs.push_back({inode.ino, name});
  bytes_ += item.value.size();
}

void Journal::changed_data(Inode& inode, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return;
  std::vector<Range>& changed = Tree::file(inode).changed;
  add_range(changed, from, to);
  if (changed.size() > kMaxChangedRanges) changed = {{changed.front().from, changed.back().to}};
  touch(inode, kChangedData | kChangedAttr);
}

void Journal::unpin(Inode& inode) {
  keys_.unpinned.push_back(inode.ino);
  inode.orphan_in_store = false;
  ++ops_;
}

void Journal::reset() {
  keys_ = {};
  lazy_.clear();
  bytes_ = ops_ = flying_bytes_ = flying_ops_ = 0;
  used_blocks_ = used_inodes_ = flying_blocks_ = flying_inodes_ = 0;
  committed_ = gathering_;
  ++gathering_;
}

}  // namespace sboxfs
