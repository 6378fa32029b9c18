#include <algorithm>
#include <bit>

#include "chunks.hpp"
#include "handles.hpp"
#include "ranges.hpp"

namespace sboxfs {
namespace {

constexpr std::uint64_t kBehindAll = ~std::uint64_t{0} / 2;

/// Cuts the chunk the new end lies in. Its bytes have been found before.
unsigned cut_edge(Operation& op, Inode& inode, std::uint64_t size, const Bytes& current) {
  op.state.mu.assert_held();
  const std::uint32_t idx = chunk_of(size);
  if (inode.file->chunks.count(idx) == 0) return 0;
  ChunkNode& chunk = own_chunk(op, inode, idx, current);
  if (chunk.buffer->size() > within(size)) chunk.buffer->resize(within(size));
  const std::uint32_t kept = chunk.mask & blocks_touched(0, within(size));
  const auto freed = static_cast<unsigned>(std::popcount(chunk.mask & ~kept));
  chunk.mask = kept;
  chunk.rewrite = true;
  op.state.journal.touch_chunk(inode, idx, chunk, within(size), kChunkSize);
  return freed;
}

/// Drops the chunks from `first` on.
unsigned cut_chunks(Operation& op, Inode& inode, std::uint32_t first) {
  op.state.mu.assert_held();
  auto& chunks = inode.file->chunks;
  unsigned freed = 0;
  for (auto at = chunks.lower_bound(first); at != chunks.end(); at = chunks.erase(at))
    freed += static_cast<unsigned>(std::popcount(at->second.mask));
  op.state.journal.touch_cut(inode, first);
  return freed;
}

Status shrink(Operation& op, Inode& inode, std::uint64_t size) {
  op.state.mu.assert_held();
  const std::uint64_t old_size = inode.attr.size;
  if (size == old_size && size > 0) {
    // Only what was allocated behind the end goes.
    op.add_blocks(inode, -static_cast<std::int64_t>(take_allocated(op, inode, round_up(size), kBehindAll)));
    return {};
  }
  const bool edge = within(size) != 0;
  Bytes current;
  if (size > 0) {
    // To nothing, all blocks go whatever they were; else the masks behind the new end must be known.
    if (!rows_known(op, inode, chunk_of(size), chunk_of(std::max(old_size, size + 1) - 1))) return {};
    if (edge && !chunk_bytes(op, inode, chunk_of(size), current)) return {};
  }
  unsigned freed = edge ? cut_edge(op, inode, size, current) : 0;
  freed += cut_chunks(op, inode, chunk_of(size) + (edge ? 1 : 0));
  freed += take_allocated(op, inode, round_up(size), kBehindAll);
  op.add_blocks(inode, size == 0 ? -static_cast<std::int64_t>(inode.attr.blocks) : -static_cast<std::int64_t>(freed));
  op.state.journal.changed_data(inode, size, old_size);
  return {};
}

}  // namespace

Status cut_ahead(Operation& op, Ino ino, std::uint64_t size) {
  for (bool more = true; more;) {
    Status cut = op.changing([&]() -> Status {
      op.state.mu.assert_held();
      Inode* inode = op.inode(ino);
      if (inode == nullptr) return Operation::missing();
      const std::uint64_t step = op.options.cut_bytes;
      // A chunk's row has one block at least.
      const std::uint64_t most = std::min(inode->attr.size, inode->attr.blocks * kBlockSize);
      more = inode->is_file() && most > step && inode->attr.size > size && inode->attr.size - size > step;
      if (!more) return {};
      return truncate_inode(op, *inode, (inode->attr.size - step) / kChunkSize * kChunkSize);
    });
    if (!cut.ok() || !more) return cut;
    SBOXFS_TRY(op.committer.sync());
  }
  return {};
}

Status truncate_inode(Operation& op, Inode& inode, std::uint64_t size) {
  if (size > kMaxFileSize) return fail(EFBIG);
  FileNode& file = Tree::file(inode);
  if (!file.ranges_loaded && (inode.attr.flags & kHasRanges) != 0) {
    if (!rows_known(op, inode, chunk_of(size), chunk_of(size))) return {};
  }
  file.ranges_loaded = true;
  // Also at the same size: what was allocated behind the end goes.
  if (size <= inode.attr.size) {
    SBOXFS_TRY(shrink(op, inode, size));
    if (!op.need.nothing()) return {};
  }
  inode.attr.size = size;
  inode.attr.mtime = inode.attr.ctime = op.now();
  op.state.journal.touch(inode);
  return {};
}

}  // namespace sboxfs
