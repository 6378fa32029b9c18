#include <algorithm>

#include "chunks.hpp"
#include "handles.hpp"

namespace sboxfs {
namespace {

// A sequential reader gets 1 MiB with every load, behind the first 4 MiB of a file 4 MiB: over a network, round trips
// are everything. Reads count as sequential when they are not further than this from where the last one ended.
constexpr std::uint32_t kSmallWindow = 8;
constexpr std::uint32_t kLargeWindow = 32;
constexpr std::uint64_t kNear = 1 << 20;

void add_piece(std::vector<Vfs::Piece>& pieces, const Bytes& bytes, std::uint32_t from, std::uint32_t to) {
  const std::uint32_t have =
      bytes ? std::clamp<std::uint32_t>(static_cast<std::uint32_t>(bytes->size()), from, to) : from;
  if (have > from) pieces.push_back({bytes, from, have - from});
  if (to > have) pieces.push_back({nullptr, 0, to - have});
}

/// Adds the rest of the aligned window that the first missing chunk lies in to a load that must be made anyway.
/// Aligned, because readers in the same window (the kernel's read-ahead asks in parallel) then ask for the same load
/// and share it.
void read_ahead(Operation& op, Inode& inode, std::uint32_t first) {
  op.state.mu.assert_held();
  const std::uint32_t window = first < kLargeWindow ? kSmallWindow : kLargeWindow;
  const std::uint32_t start = first / window * window;
  const std::uint32_t last = std::min(start + window - 1, chunk_of(inode.attr.size - 1));
  std::vector<Need::Content> asked = std::move(op.need.contents);
  op.need.contents.clear();
  for (std::uint32_t idx = start; idx <= last; ++idx) {
    const auto chunk = inode.file->chunks.find(idx);
    Bytes ignored;
    if (chunk != inode.file->chunks.end() && !chunk->second.buffer) chunk_bytes(op, inode, idx, ignored);
  }
  for (Need::Content& content : asked)
    if (content.idx > last) op.need.contents.push_back(std::move(content));
}

}  // namespace

Result<std::vector<Vfs::Piece>> Vfs::read(Handle& handle, std::uint64_t offset, std::uint32_t size, bool atime) {
  Operation op(*this);
  return op.reading([&]() -> Result<std::vector<Piece>> {
    op.state.mu.assert_held();
    std::vector<Piece> pieces;
    SBOXFS_TRY(op.locks_kept(handle));
    Inode* inode = open_file(op, handle);
    if (inode == nullptr) return Operation::missing();
    if (offset >= inode->attr.size || size == 0) return pieces;
    const std::uint64_t end = std::min<std::uint64_t>(inode->attr.size, offset + size);
    const std::uint32_t first = chunk_of(offset);
    const std::uint32_t last = chunk_of(end - 1);
    if (!rows_known(op, *inode, first, last)) return Operation::missing();
    for (std::uint32_t idx = first; idx <= last; ++idx) {
      Bytes bytes;
      if (!chunk_bytes(op, *inode, idx, bytes)) continue;
      const std::uint64_t start = std::uint64_t{idx} * kChunkSize;
      add_piece(pieces, bytes, static_cast<std::uint32_t>(std::max(offset, start) - start),
                static_cast<std::uint32_t>(std::min(end, start + kChunkSize) - start));
    }
    const std::uint64_t before = handle.read_ahead.load(std::memory_order_relaxed);
    if (!op.need.nothing()) {
      if (offset <= before + kNear && before <= offset + kNear) read_ahead(op, *inode, op.need.contents.front().idx);
      return Operation::missing();
    }
    handle.read_ahead.store(end, std::memory_order_relaxed);
    if (atime) touch_atime(op, *inode);
    return pieces;
  });
}

}  // namespace sboxfs
