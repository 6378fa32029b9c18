#include <unistd.h>

#include <algorithm>
#include <bit>

#include "chunks.hpp"

namespace sboxfs {
namespace {

/// The first block from `at` on that is written (or not written, for `data` false), as an offset; the file's size when
/// there is none; nothing with op.need set.
std::optional<std::uint64_t> next_block(Operation& op, Inode& inode, std::uint64_t at, bool data) {
  op.state.mu.assert_held();
  const std::uint64_t size = inode.attr.size;
  while (at < size) {
    const std::uint32_t idx = chunk_of(at);
    if (!rows_known(op, inode, idx, idx)) return std::nullopt;
    const auto chunk = inode.file->chunks.lower_bound(idx);
    if (chunk == inode.file->chunks.end() || chunk->first != idx) {
      if (!data) return at;
      // Nothing here: on to the next chunk there is, or to where the rows are not known yet.
      const std::uint64_t gap = inode.file->loaded.first_gap(idx).value_or(~std::uint64_t{0} / kChunkSize);
      const std::uint64_t next = chunk == inode.file->chunks.end() ? gap : std::min<std::uint64_t>(gap, chunk->first);
      at = next * kChunkSize;
      continue;
    }
    const std::uint32_t block = within(at) / kBlockSize;
    const std::uint32_t wanted = (data ? chunk->second.mask : ~chunk->second.mask) >> block;
    if ((wanted & 1U) != 0) return at;
    const std::uint64_t start = std::uint64_t{idx} * kChunkSize;
    if (wanted != 0) return start + (block + static_cast<unsigned>(std::countr_zero(wanted))) * kBlockSize;
    at = start + kChunkSize;
  }
  return size;
}

}  // namespace

Result<std::uint64_t> Vfs::seek(Handle& handle, std::uint64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return fail(EINVAL);
  Operation op(*this);
  return op.reading([&]() -> Result<std::uint64_t> {
    op.state.mu.assert_held();
    Inode* inode = open_file(op, handle);
    if (inode == nullptr) return Operation::missing();
    if (offset >= inode->attr.size) return fail(ENXIO);
    const std::optional<std::uint64_t> at = next_block(op, *inode, offset, whence == SEEK_DATA);
    if (!at) return Operation::missing();
    if (whence == SEEK_DATA && *at >= inode->attr.size) return fail(ENXIO);
    return std::min(*at, inode->attr.size);
  });
}

}  // namespace sboxfs
