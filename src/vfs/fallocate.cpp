#include <linux/falloc.h>

#include <algorithm>
#include <bit>

#include "chunks.hpp"
#include "handles.hpp"
#include "ranges.hpp"

namespace sboxfs {
namespace {

/// Bytes of chunk `idx` that [from, to) covers.
Range covered(std::uint32_t idx, std::uint64_t from, std::uint64_t to) {
  const std::uint64_t start = std::uint64_t{idx} * kChunkSize;
  return {std::max(from, start) - start, std::min(to, start + kChunkSize) - start};
}

/// Zeroes [from, to) (already inside the file): blocks wholly inside become holes, edges are written with zeros.
/// Returns how many blocks were freed; nothing has changed when op.need is set.
unsigned punch(Operation& op, Inode& inode, std::uint64_t from, std::uint64_t to) {
  op.state.mu.assert_held();
  if (from >= to || !rows_known(op, inode, chunk_of(from), chunk_of(to - 1))) return 0;
  struct Hit {
    std::uint32_t idx;
    Bytes current;
  };
  std::vector<Hit> hits;
  const auto end = inode.file->chunks.upper_bound(chunk_of(to - 1));
  for (auto at = inode.file->chunks.lower_bound(chunk_of(from)); at != end; ++at) {
    const Range part = covered(at->first, from, to);
    Hit hit{at->first, nullptr};
    const bool whole = part.from == 0 && part.to == kChunkSize;
    if (!whole) chunk_bytes(op, inode, at->first, hit.current);
    hits.push_back(std::move(hit));
  }
  if (!op.need.nothing()) return 0;
  unsigned freed = 0;
  for (const Hit& hit : hits) {
    const Range part = covered(hit.idx, from, to);
    const auto low = static_cast<std::uint32_t>(part.from);
    const auto high = static_cast<std::uint32_t>(part.to);
    ChunkNode& chunk = own_chunk(op, inode, hit.idx, hit.current);
    const std::size_t last = std::min<std::size_t>(high, chunk.buffer->size());
    if (last > low)
      std::fill(chunk.buffer->begin() + low, chunk.buffer->begin() + static_cast<std::ptrdiff_t>(last), '\0');
    const std::uint32_t gone = chunk.mask & blocks_inside(low, high);
    chunk.mask &= ~gone;
    freed += static_cast<unsigned>(std::popcount(gone));
    chunk.rewrite = true;
    op.state.journal.touch_chunk(inode, hit.idx, chunk, low, high);
  }
  freed += take_allocated(op, inode, round_up(from), round_down(to));
  op.state.journal.changed_data(inode, from, to);
  return freed;
}

/// Adds what is not written of [from, to) (block-aligned) to a range list. Rows must be known.
std::vector<Range> allocated(const FileNode& file, std::uint64_t from, std::uint64_t to) {
  std::vector<Range> unwritten;
  const auto add = [&](std::uint64_t low, std::uint64_t high) {
    if (low >= high) return;
    if (!unwritten.empty() && unwritten.back().to == low) {
      unwritten.back().to = high;
    } else {
      unwritten.push_back({low, high});
    }
  };
  std::uint64_t at = from;
  const auto end = file.chunks.upper_bound(chunk_of(to - 1));
  for (auto chunk = file.chunks.lower_bound(chunk_of(from)); chunk != end; ++chunk)
    for (std::uint32_t block = 0; block < kBlocksPerChunk; ++block) {
      const std::uint64_t start = std::uint64_t{chunk->first} * kChunkSize + block * kBlockSize;
      if (((chunk->second.mask >> block) & 1U) == 0 || start < from || start >= to) continue;
      add(at, start);
      at = start + kBlockSize;
    }
  add(at, to);
  return united(file.ranges, unwritten);
}

std::int64_t blocks_in(const std::vector<Range>& ranges) {
  std::uint64_t bytes = 0;
  for (const Range& range : ranges) bytes += range.to - range.from;
  return static_cast<std::int64_t>(bytes / kBlockSize);
}

}  // namespace

Status Vfs::fallocate(Handle& handle, int mode, std::uint64_t offset, std::uint64_t length) {
  const bool keep = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const bool hole = mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
  const bool zero = (mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE;
  if (!hole && !zero && (mode & ~FALLOC_FL_KEEP_SIZE) != 0) return fail(EOPNOTSUPP);
  if (length == 0) return fail(EINVAL);
  const std::uint64_t end = offset + length;
  if (end > kMaxFileSize || end < offset) return fail(EFBIG);
  Operation op(*this);
  Status status = op.changing([&]() -> Status {
    op.state.mu.assert_held();
    SBOXFS_TRY(op.locks_kept(handle));
    Inode* inode = open_file(op, handle);
    if (inode == nullptr || !op.xattrs(*inode)) return Operation::missing();
    if (!inode->is_file()) return fail(ENODEV);
    if (!rows_known(op, *inode, chunk_of(offset), chunk_of(end - 1))) return Operation::missing();
    // Quota first: an allocation that does not fit changes nothing.
    if (!hole) {
      const std::vector<Range> wanted = allocated(*inode->file, round_down(offset), round_up(end));
      SBOXFS_TRY(op.room_for(blocks_in(wanted) - blocks_in(inode->file->ranges), 0));
    }
    if (hole || zero) {
      // Behind the end there is nothing to keep: the last block goes whole.
      const std::uint64_t last = round_up(inode->attr.size);
      const unsigned freed = punch(op, *inode, offset, end >= inode->attr.size ? last : end);
      if (!op.need.nothing()) return Operation::missing();
      op.add_blocks(*inode, -static_cast<std::int64_t>(freed));
    }
    if (!hole) {
      std::vector<Range> ranges = allocated(*inode->file, round_down(offset), round_up(end));
      const std::int64_t added = blocks_in(ranges) - blocks_in(inode->file->ranges);
      if (added > 0) {
        inode->file->ranges = std::move(ranges);
        inode->attr.flags |= kHasRanges;
        op.add_blocks(*inode, added);
        op.state.journal.touch_ranges(*inode);
      }
    }
    if (!keep && end > inode->attr.size) inode->attr.size = end;
    drop_capability(op, *inode);
    inode->attr.mtime = inode->attr.ctime = op.now();
    op.state.journal.touch(*inode);
    return {};
  });
  if (status.ok()) handle.wrote.store(true, std::memory_order_relaxed);
  return status;
}

}  // namespace sboxfs
