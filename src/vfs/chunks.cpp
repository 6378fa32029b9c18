#include "chunks.hpp"

#include <algorithm>
#include <bit>

#include "ranges.hpp"

namespace sboxfs {
namespace {
// So many rows are asked for at once: 128 MiB of file without its holes.
constexpr std::uint32_t kRowsPerLoad = 1024;

std::uint32_t mask_of(std::uint32_t first, std::uint32_t end) {
  if (first >= end) return 0;
  const std::uint64_t bits = (std::uint64_t{1} << end) - (std::uint64_t{1} << first);
  return static_cast<std::uint32_t>(bits);
}
}  // namespace

std::uint32_t blocks_touched(std::uint32_t from, std::uint32_t to) {
  if (from >= to) return 0;
  return mask_of(from / kBlockSize, (to + kBlockSize - 1) / kBlockSize);
}

std::uint32_t blocks_inside(std::uint32_t from, std::uint32_t to) {
  return mask_of((from + kBlockSize - 1) / kBlockSize, to / kBlockSize);
}

Inode* open_file(Operation& op, const Handle& handle) {
  Inode* inode = op.inode(handle.ino);
  if (inode != nullptr) Tree::file(*inode);
  return inode;
}

bool rows_known(Operation& op, Inode& inode, std::uint32_t first, std::uint32_t last) {
  FileNode& file = Tree::file(inode);
  if ((inode.attr.flags & kHasRanges) == 0) {
    file.ranges.clear();
    file.ranges_loaded = true;
  }
  const std::optional<std::uint64_t> gap = file.loaded.first_gap(first);
  const bool known = !gap || *gap > last;
  if (known && file.ranges_loaded) return true;
  op.need.kind = Need::Kind::chunks;
  op.need.ino = inode.ino;
  op.need.first = known ? first : static_cast<std::uint32_t>(*gap);
  op.need.limit = kRowsPerLoad;
  return false;
}

bool chunk_bytes(Operation& op, Inode& inode, std::uint32_t idx, Bytes& bytes) {
  bytes = nullptr;
  const auto at = inode.file->chunks.find(idx);
  if (at == inode.file->chunks.end()) return true;
  ChunkNode& chunk = at->second;
  if (chunk.buffer) {
    bytes = chunk.buffer;
    chunk.shared = true;
    return true;
  }
  if (chunk.mask == 0 || (chunk.blob.empty() && chunk.patches.empty())) return true;
  bytes = op.cache.get(content_key(chunk.blob, chunk.patches));
  if (bytes) return true;
  op.need.kind = Need::Kind::contents;
  op.need.ino = inode.ino;
  op.need.contents.push_back({idx, chunk.blob, chunk.patches});
  return false;
}

ChunkNode& own_chunk(Operation& op, Inode& inode, std::uint32_t idx, const Bytes& current) {
  op.state.mu.assert_held();
  const auto [at, added] = inode.file->chunks.try_emplace(idx);
  ChunkNode& chunk = at->second;
  if (added) chunk.fresh = true;
  if (!chunk.buffer) {
    chunk.buffer = current ? std::make_shared<std::string>(*current) : std::make_shared<std::string>();
  } else if (chunk.shared) {
    chunk.buffer = std::make_shared<std::string>(*chunk.buffer);
  }
  chunk.shared = false;
  return chunk;
}

unsigned allocated_blocks(const FileNode& file, std::uint32_t idx, std::uint32_t mask) {
  const std::uint64_t start = std::uint64_t{idx} * kChunkSize;
  if (bytes_within(file.ranges, start, start + kChunkSize) == 0) return 0;
  unsigned count = 0;
  for (std::uint32_t block = 0; block < kBlocksPerChunk; ++block)
    if (((mask >> block) & 1U) != 0 && has_range(file.ranges, start + block * kBlockSize)) ++count;
  return count;
}

unsigned take_allocated(Operation& op, Inode& inode, std::uint64_t from, std::uint64_t to) {
  FileNode& file = *inode.file;
  const std::uint64_t taken = remove_range(file.ranges, from, to);
  if (taken == 0) return 0;
  if (file.ranges.empty()) inode.attr.flags &= ~kHasRanges;
  op.state.journal.touch_ranges(inode);
  op.state.journal.touch(inode);
  return static_cast<unsigned>(taken / kBlockSize);
}

}  // namespace sboxfs
