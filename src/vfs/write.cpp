#include <algorithm>
#include <bit>
#include <cstring>

#include "chunks.hpp"
#include "handles.hpp"

namespace sboxfs {
namespace {

// Longer than a write waits in the kernel's queue behind the one that is waiting for the lease.
constexpr std::int64_t kLongestWait = 10 * kSecondNs;

/// The part of a write that falls into one chunk.
struct Part {
  std::uint32_t idx = 0;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  Bytes current;
};

/// Splits [offset, end) into chunks and finds the bytes each is based on; op.need is set for what is missing.
std::vector<Part> split(Operation& op, Inode& inode, std::uint64_t offset, std::uint64_t end) {
  op.state.mu.assert_held();
  std::vector<Part> parts;
  for (std::uint32_t idx = chunk_of(offset); idx <= chunk_of(end - 1); ++idx) {
    const std::uint64_t start = std::uint64_t{idx} * kChunkSize;
    Part part{idx, static_cast<std::uint32_t>(std::max(offset, start) - start),
              static_cast<std::uint32_t>(std::min(end, start + kChunkSize) - start), nullptr};
    const auto at = inode.file->chunks.find(idx);
    const bool in_memory = at == inode.file->chunks.end() || at->second.buffer;
    const bool whole = part.from == 0 && (part.to == kChunkSize || end >= inode.attr.size);
    if (!in_memory && !whole) chunk_bytes(op, inode, idx, part.current);
    parts.push_back(std::move(part));
  }
  return parts;
}

/// How many blocks more the file has when these bytes of a chunk are written.
std::int64_t new_blocks(const FileNode& file, std::uint32_t idx, std::uint32_t from, std::uint32_t to) {
  const auto at = file.chunks.find(idx);
  const std::uint32_t had = at == file.chunks.end() ? 0 : at->second.mask;
  const std::uint32_t added = blocks_touched(from, to) & ~had;
  return std::popcount(added) - static_cast<int>(allocated_blocks(file, idx, added));
}

std::int64_t new_blocks(const FileNode& file, const std::vector<Part>& parts) {
  std::int64_t count = 0;
  for (const Part& part : parts) count += new_blocks(file, part.idx, part.from, part.to);
  return count;
}

/// Where a write of [at, end) stops: "only as many bytes as there is room for" (POSIX, write).
std::uint64_t end_with_room(const Operation& op, const FileNode& file, std::uint64_t at, std::uint64_t end) {
  op.state.mu.assert_held();
  std::int64_t blocks = 0;
  for (std::uint64_t done = at; done < end;) {
    const std::uint64_t next = std::min(end, round_down(done) + kBlockSize);
    const auto from = static_cast<std::uint32_t>(done % kChunkSize);
    blocks += new_blocks(file, chunk_of(done), from, from + static_cast<std::uint32_t>(next - done));
    if (!op.room_for(blocks, 0).ok()) return done;
    done = next;
  }
  return end;
}

void put_part(Operation& op, Inode& inode, const Part& part, std::string_view data) {
  op.state.mu.assert_held();
  ChunkNode& chunk = own_chunk(op, inode, part.idx, part.current);
  if (chunk.buffer->size() < part.to) chunk.buffer->resize(part.to);
  std::memcpy(chunk.buffer->data() + part.from, data.data(), data.size());
  chunk.mask |= blocks_touched(part.from, part.to);
  op.state.journal.touch_chunk(inode, part.idx, chunk, part.from, part.to);
}

/// The kernel fills its pages before it sends the write. If they were taken back while it waited here, somebody may
/// have read what was there before into new ones, which nobody would ever take back.
bool pages_may_differ(const Inode& inode) {
  return inode.taken_back_ns != 0 && SystemClock().monotonic_ns() - inode.taken_back_ns < kLongestWait;
}

}  // namespace

Result<std::size_t> Vfs::write(Handle& handle, std::uint64_t offset, std::string_view data, const Kill& kill,
                               bool& differs, WriteAs as) {
  differs = false;
  if (data.empty()) return std::size_t{0};
  Operation op(*this);
  Result<std::size_t> result = op.changing([&]() -> Result<std::size_t> {
    op.state.mu.assert_held();
    SBOXFS_TRY(op.locks_kept(handle));
    Inode* inode = open_file(op, handle);
    if (inode == nullptr) return Operation::missing();
    if (!inode->is_file()) return fail(EINVAL);
    if (as != WriteAs::page) SBOXFS_TRY(none_lost(op, *inode));
    if (!op.xattrs(*inode)) return Operation::missing();
    const auto mode = kill.suid_sgid ? without_suid(op, *inode, kill.who) : inode->attr.mode;
    if (!mode) return Operation::missing();
    const std::uint64_t at = as == WriteAs::append ? inode->attr.size : offset;
    differs = at != offset;
    if (at >= kMaxFileSize) return fail(EFBIG);
    std::uint64_t end = std::min(at + data.size(), kMaxFileSize);
    if (!rows_known(op, *inode, chunk_of(at), chunk_of(end - 1))) return Operation::missing();
    if (op.state.usage.limited()) end = end_with_room(op, *inode->file, at, end);
    if (end == at || (as == WriteAs::page && end < at + data.size()))
      return fail(EDQUOT, "the sandbox's quota of bytes is used up");
    const std::vector<Part> parts = split(op, *inode, at, end);
    if (!op.need.nothing()) return Operation::missing();
    const std::int64_t blocks = new_blocks(*inode->file, parts);
    if (!inode->file->ranges.empty()) take_allocated(op, *inode, round_down(at), round_up(end));
    for (const Part& part : parts) {
      const std::uint64_t start = std::uint64_t{part.idx} * kChunkSize + part.from;
      put_part(op, *inode, part, data.substr(start - at, part.to - part.from));
    }
    op.add_blocks(*inode, blocks);
    inode->attr.size = std::max(inode->attr.size, end);
    inode->attr.mtime = inode->attr.ctime = op.now();
    op.state.journal.changed_data(*inode, at, end);
    if (pages_may_differ(*inode)) differs = true;
    if (*mode != inode->attr.mode) differs = true;
    inode->attr.mode = *mode;
    if (as != WriteAs::page && drop_capability(op, *inode)) differs = true;
    return static_cast<std::size_t>(end - at);
  });
  if (result.ok()) handle.wrote.store(true, std::memory_order_relaxed);
  return result;
}

}  // namespace sboxfs
