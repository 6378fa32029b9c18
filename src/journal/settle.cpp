// A committed batch, settled: what did not change again meanwhile is clean now.
#include "sboxfs/content/cache.hpp"
#include "sboxfs/journal/journal.hpp"

namespace sboxfs {
namespace {

DirItem* item_of(Tree& tree, Ino parent, std::uint64_t cookie, const std::string& name) {
  Inode* dir = tree.peek(parent);
  return dir == nullptr ? nullptr : Tree::item(*dir, cookie, name);
}

/// The chunk, if it is still the one that batch `number` carries (not cut off and made anew).
ChunkNode* carried(Tree& tree, Ino ino, std::uint32_t idx, std::uint64_t number) {
  Inode* inode = tree.peek(ino);
  if (inode == nullptr || !inode->file) return nullptr;
  const auto at = inode->file->chunks.find(idx);
  if (at == inode->file->chunks.end() || at->second.in_flight != number) return nullptr;
  at->second.in_flight = 0;
  return &at->second;
}

/// Lets the chunk's buffer go if it did not change again.
Bytes clean_buffer(ChunkNode& chunk, std::uint64_t number) {
  if (chunk.dirty != number) return nullptr;
  chunk.dirty = 0;
  chunk.shared = false;
  return std::move(chunk.buffer);
}

void unpin(Tree& tree, Ino ino, std::uint64_t number) {
  Inode* inode = tree.peek(ino);
  if (inode != nullptr && inode->pins == number) inode->pins = 0;
}

void settle_names(Tree& tree, const InFlight& flight) {
  for (const Dirent& row : flight.batch.dirents)
    if (DirItem* item = item_of(tree, row.parent, row.cookie, row.name)) item->in_store = true;
  for (const DirentKey& row : flight.batch.unlinked)
    if (DirItem* item = item_of(tree, row.parent, row.cookie, row.name)) item->in_store = false;
  for (const DirentKey& key : flight.keys.names) {
    DirItem* item = item_of(tree, key.parent, key.cookie, key.name);
    if (item != nullptr && item->dirty == flight.number) {
      item->dirty = 0;
      if (item->ino == 0) tree.erase_tombstone(*tree.peek(key.parent), key.cookie, key.name);
    }
    unpin(tree, key.parent, flight.number);
  }
}

void settle_chunks(Tree& tree, const InFlight& flight, Version version, std::vector<CleanChunk>& clean) {
  for (const ChunkPut& put : flight.batch.chunks) {
    ChunkNode* chunk = carried(tree, put.ino, put.idx, flight.number);
    if (chunk == nullptr) continue;
    chunk->blob = put.blob;
    chunk->patches.clear();
    if (Bytes bytes = clean_buffer(*chunk, flight.number)) clean.push_back({put.blob, std::move(bytes)});
    if (chunk->dirty == 0 && chunk->mask == 0) tree.peek(put.ino)->file->chunks.erase(put.idx);
  }
  for (const PatchPut& put : flight.batch.patches) {
    ChunkNode* chunk = carried(tree, put.ino, put.idx, flight.number);
    if (chunk == nullptr) continue;
    chunk->patches.push_back({version, put.offset, put.data});
    if (Bytes bytes = clean_buffer(*chunk, flight.number))
      clean.push_back({content_key(chunk->blob, chunk->patches), std::move(bytes)});
  }
  for (const JournalKeys::ChunkKey& key : flight.keys.chunks) unpin(tree, key.ino, flight.number);
}

void settle_files(Tree& tree, const InFlight& flight) {
  for (Ino ino : flight.keys.files) {
    Inode* inode = tree.peek(ino);
    if (inode == nullptr || !inode->file) continue;
    if (inode->file->cut_dirty == flight.number) inode->file->cut_dirty = 0;
    if (inode->file->ranges_dirty == flight.number) inode->file->ranges_dirty = 0;
    unpin(tree, ino, flight.number);
  }
}

void settle_xattrs(Tree& tree, const InFlight& flight) {
  for (const JournalKeys::XattrKey& key : flight.keys.xattrs) {
    Inode* inode = tree.peek(key.ino);
    if (inode == nullptr || !inode->xattrs) continue;
    const auto at = inode->xattrs->items.find(key.name);
    if (at != inode->xattrs->items.end() && at->second.dirty == flight.number) {
      at->second.dirty = 0;
      if (at->second.removed) inode->xattrs->items.erase(at);
    }
    unpin(tree, key.ino, flight.number);
  }
}

void settle_inodes(Tree& tree, const InFlight& flight) {
  for (const InodeRecord& row : flight.batch.inodes)
    if (Inode* inode = tree.peek(row.ino)) inode->in_store = true;
  for (Ino ino : flight.batch.gone)
    if (Inode* inode = tree.peek(ino)) inode->in_store = false;
  for (Ino ino : flight.keys.inodes) {
    Inode* inode = tree.peek(ino);
    if (inode == nullptr) continue;
    if (inode->dirty == flight.number) inode->dirty = 0;
    unpin(tree, ino, flight.number);
    if (inode->unlinked && inode->opens == 0 && inode->lookups == 0 && inode->pins == 0) tree.erase(ino);
  }
}

}  // namespace

std::vector<CleanChunk> Journal::settle(Tree& tree, const InFlight& flight, Version version) {
  std::vector<CleanChunk> clean;
  settle_names(tree, flight);
  settle_chunks(tree, flight, version, clean);
  settle_files(tree, flight);
  settle_xattrs(tree, flight);
  settle_inodes(tree, flight);
  committed_ = flight.number;
  flying_bytes_ = flying_ops_ = 0;
  flying_blocks_ = flying_inodes_ = 0;
  return clean;
}

}  // namespace sboxfs
