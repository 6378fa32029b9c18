// The cut: marks become rows. Runs under State::mu, so it sees a state between two operations.
#include <algorithm>

#include "sboxfs/content/cache.hpp"
#include "sboxfs/journal/journal.hpp"

namespace sboxfs {
namespace {

// A changed hull below this becomes a patch; so many patches, or so many bytes of them, are folded into a new blob.
constexpr std::uint32_t kPatchBytes = 32 * 1024;
constexpr std::size_t kFoldPatches = 16;
constexpr std::size_t kFoldBytes = 64 * 1024;

/// Unlinked, never committed, and nobody has it open: it never reaches the database.
bool vanished(const Inode& inode) { return inode.unlinked && inode.opens == 0 && !inode.in_store; }
/// Unlinked and not open: its rows go.
bool gone(const Inode& inode) { return inode.unlinked && inode.opens == 0; }

InodeRecord record_of(const Inode& inode) {
  return {inode.ino, inode.attr, inode.is_dir() ? inode.parent : 0, inode.target ? *inode.target : std::string()};
}

bool must_be_whole(const ChunkNode& chunk) {
  if (chunk.fresh || chunk.rewrite || chunk.mask == 0 || !chunk.buffer) return true;
  const std::size_t hull = chunk.dirty_to - chunk.dirty_from;
  std::size_t bytes = hull;
  for (const Patch& patch : chunk.patches) bytes += patch.data.size();
  return hull >= kPatchBytes || chunk.patches.size() >= kFoldPatches || bytes >= kFoldBytes;
}

std::string hull_of(const ChunkNode& chunk) {
  std::string out(chunk.dirty_to - chunk.dirty_from, '\0');
  if (chunk.dirty_from < chunk.buffer->size()) chunk.buffer->copy(out.data(), out.size(), chunk.dirty_from);
  return out;
}

}  // namespace

void Journal::cut_inodes(Tree& tree, Batch& batch) {
  for (Ino ino : keys_.inodes) {
    Inode* inode = tree.peek(ino);
    if (inode == nullptr || vanished(*inode)) continue;
    if (inode->in_store) {
      InodeChange change{ino, inode->changed, {}};
      if (inode->unlinked) change.what |= kChangedGone;
      if ((change.what & kChangedData) != 0 && inode->file) change.data = inode->file->changed;
      batch.delta.inodes.push_back(std::move(change));
    }
    inode->changed = 0;
    if (inode->file) inode->file->changed.clear();
    if (gone(*inode)) {
      batch.gone.push_back(ino);
      continue;
    }
    if (inode->unlinked && !inode->orphan_in_store) {
      batch.orphans.push_back(ino);
      inode->orphan_in_store = true;
    }
    batch.inodes.push_back(record_of(*inode));
  }
}

void Journal::cut_names(Tree& tree, Batch& batch) {
  for (const DirentKey& key : keys_.names) {
    Inode* dir = tree.peek(key.parent);
    const DirItem* item = dir == nullptr ? nullptr : Tree::item(*dir, key.cookie, key.name);
    if (item == nullptr) continue;
    if (item->ino == 0) {
      if (!item->in_store) continue;
      batch.unlinked.push_back(key);
    } else {
      batch.dirents.push_back({key.parent, key.cookie, key.name, item->ino, item->type});
    }
    batch.delta.names.push_back({key.parent, key.name});
  }
}

void Journal::cut_chunks(Tree& tree, Batch& batch) {
  for (const JournalKeys::ChunkKey& key : keys_.chunks) {
    Inode* inode = tree.peek(key.ino);
    if (inode == nullptr || !inode->file || gone(*inode)) continue;
    const auto at = inode->file->chunks.find(key.idx);
    if (at == inode->file->chunks.end()) continue;  // cut off meanwhile
    ChunkNode& chunk = at->second;
    if (chunk.in_flight == gathering_) continue;  // listed twice: erased and made anew
    chunk.in_flight = gathering_;
    if (must_be_whole(chunk)) {
      ChunkPut put{key.ino, key.idx, {}, chunk.mask, nullptr};
      if (chunk.mask != 0 && chunk.buffer) {
        put.data = chunk.buffer;
        chunk.shared = true;
      } else if (chunk.mask != 0) {
        put.blob = chunk.blob;
      }
      batch.chunks.push_back(std::move(put));
      chunk.fresh = chunk.rewrite = false;
    } else {
      batch.patches.push_back({key.ino, key.idx, chunk.mask, chunk.dirty_from, hull_of(chunk)});
    }
  }
}

void Journal::cut_files(Tree& tree, Batch& batch) {
  std::sort(keys_.files.begin(), keys_.files.end());
  keys_.files.erase(std::unique(keys_.files.begin(), keys_.files.end()), keys_.files.end());
  for (Ino ino : keys_.files) {
    Inode* inode = tree.peek(ino);
    if (inode == nullptr || !inode->file || gone(*inode)) continue;
    const FileNode& file = *inode->file;
    if (file.cut_dirty == gathering_ && inode->in_store) batch.cuts.push_back({ino, file.cut_from});
    if (file.ranges_dirty == gathering_) batch.ranges.push_back({ino, file.ranges});
  }
}

void Journal::cut_xattrs(Tree& tree, Batch& batch) {
  for (const JournalKeys::XattrKey& key : keys_.xattrs) {
    Inode* inode = tree.peek(key.ino);
    if (inode == nullptr || !inode->xattrs || gone(*inode)) continue;
    const auto at = inode->xattrs->items.find(key.name);
    if (at == inode->xattrs->items.end()) continue;
    batch.xattrs.push_back({key.ino, key.name, at->second.value, at->second.removed});
  }
}

void Journal::cut_lazily(Tree& tree, Batch& batch) {
  if (batch.delta.empty() && batch.inodes.empty()) return;
  std::sort(lazy_.begin(), lazy_.end());
  lazy_.erase(std::unique(lazy_.begin(), lazy_.end()), lazy_.end());
  for (Ino ino : lazy_) {
    const Inode* inode = tree.peek(ino);
    if (inode == nullptr || !inode->attr_valid || !inode->in_store || inode->unlinked) continue;
    if (inode->dirty == gathering_) continue;  // has its row already
    batch.inodes.push_back(record_of(*inode));
  }
}

InFlight Journal::cut(Tree& tree) {
  InFlight flight;
  flight.number = gathering_;
  Batch& batch = flight.batch;
  batch.id = Uuid::random();
  cut_inodes(tree, batch);
  cut_names(tree, batch);
  cut_chunks(tree, batch);
  cut_files(tree, batch);
  cut_xattrs(tree, batch);
  batch.unpinned = keys_.unpinned;
  batch.used_blocks = flying_blocks_ = used_blocks_;
  batch.used_inodes = flying_inodes_ = used_inodes_;
  cut_lazily(tree, batch);
  flight.keys = std::move(keys_);
  flight.bytes = flying_bytes_ = bytes_;
  flight.ops = flying_ops_ = ops_;
  keys_ = {};
  lazy_.clear();
  bytes_ = ops_ = 0;
  used_blocks_ = used_inodes_ = 0;
  ++gathering_;
  return flight;
}

}  // namespace sboxfs
