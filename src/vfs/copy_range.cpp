#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "chunks.hpp"
#include "handles.hpp"

namespace sboxfs {
namespace {

/// One aligned chunk shared instead of copied: the blob if the source is clean, else its bytes. False: not possible
/// (the caller copies). Inside a changing attempt.
Result<bool> share_chunk(Operation& op, Inode& from, std::uint32_t from_idx, Inode& to, std::uint32_t to_idx,
                         std::uint32_t length) {
  op.state.mu.assert_held();
  const std::uint64_t end = std::uint64_t{to_idx} * kChunkSize + length;
  // A part of a chunk can be shared only where nothing follows it on either side.
  const std::uint64_t from_end = std::uint64_t{from_idx} * kChunkSize + length;
  if (from_end > from.attr.size) return false;  // it has shrunk
  if (length < kChunkSize && (from_end < from.attr.size || end < to.attr.size)) return false;
  if (!op.xattrs(to)) return true;
  if (!rows_known(op, from, from_idx, from_idx) || !rows_known(op, to, to_idx, to_idx)) return true;
  const auto source = from.file->chunks.find(from_idx);
  if (source == from.file->chunks.end()) return false;
  const bool patched = !source->second.buffer && !source->second.patches.empty();
  Bytes bytes;
  if (patched && !chunk_bytes(op, from, from_idx, bytes)) return true;
  const auto known = to.file->chunks.find(to_idx);
  const std::uint32_t had = known == to.file->chunks.end() ? 0 : known->second.mask;
  const std::uint32_t mask = source->second.mask;
  const auto taken = static_cast<int>(allocated_blocks(*to.file, to_idx, blocks_touched(0, length)));
  const std::int64_t blocks = std::popcount(mask) - std::popcount(had) - taken;
  SBOXFS_TRY(op.room_for(blocks, 0));
  const auto [at, made] = to.file->chunks.try_emplace(to_idx);
  ChunkNode& target = at->second;
  if (made) target.fresh = true;
  if (source->second.buffer) {
    target.buffer = source->second.buffer;
    target.shared = source->second.shared = true;
  } else if (patched) {
    target.buffer = std::make_shared<std::string>(*bytes);
    target.shared = false;
  } else {
    target.buffer = nullptr;
    target.shared = false;
    target.blob = source->second.blob;
    target.patches.clear();
  }
  target.mask = mask;
  target.rewrite = true;
  // What an older batch carries of this chunk is no longer its base once that batch is committed.
  target.in_flight = 0;
  const std::uint64_t start = std::uint64_t{to_idx} * kChunkSize;
  if (!to.file->ranges.empty()) take_allocated(op, to, start, start + round_up(length));
  op.state.journal.touch_chunk(to, to_idx, target, 0, kChunkSize);
  op.add_blocks(to, blocks);
  to.attr.size = std::max(to.attr.size, end);
  to.attr.mtime = to.attr.ctime = op.now();
  op.state.journal.changed_data(to, start, end);
  drop_capability(op, to);
  return true;
}

std::string joined(const std::vector<Vfs::Piece>& pieces) {
  std::string bytes;
  for (const Vfs::Piece& piece : pieces) {
    if (piece.bytes) {
      bytes.append(*piece.bytes, piece.from, piece.size);
    } else {
      bytes.append(piece.size, '\0');
    }
  }
  return bytes;
}

/// How far the source is all hole, or all data, from `at` on: at most `bytes`.
struct Run {
  bool hole = false;
  std::uint32_t bytes = 0;
};
Result<Run> run_at(Vfs& vfs, Handle& from, std::uint64_t at, std::uint32_t bytes) {
  const Result<std::uint64_t> data = vfs.seek(from, at, SEEK_DATA);
  if (!data.ok() && data.code() != ENXIO) return Error(data.error());
  std::uint64_t hole_end = data.ok() ? *data : 0;
  if (!data.ok()) {
    // Nothing but a hole to the end of the file, which may have come nearer.
    SBOXFS_ASSIGN(const Found source, vfs.getattr(from.ino, &from));
    hole_end = source.attr.size;
    if (hole_end <= at) return Run{true, 0};
  }
  if (hole_end > at) return Run{true, static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, hole_end - at))};
  SBOXFS_ASSIGN(const std::uint64_t data_end, vfs.seek(from, at, SEEK_HOLE));
  return Run{false, static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, data_end - at))};
}

}  // namespace

Status Vfs::copy_hole(Handle& to, std::uint64_t target, std::uint64_t bytes) {
  SBOXFS_TRY(fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, target, bytes));
  Operation op(*this);
  return op.changing([&]() -> Status {
    op.state.mu.assert_held();
    Inode* inode = open_file(op, to);
    if (inode == nullptr) return Operation::missing();
    const std::uint64_t end = target + bytes;
    if (end <= inode->attr.size) return {};
    const std::uint64_t old_size = inode->attr.size;
    inode->attr.size = end;
    op.state.journal.changed_data(*inode, old_size, end);
    return {};
  });
}

Result<std::uint64_t> Vfs::copy_range(Handle& from, std::uint64_t from_offset, Handle& to, std::uint64_t to_offset,
                                      std::uint64_t length) {
  std::uint64_t size = 0;
  {
    SBOXFS_ASSIGN(const Found source, getattr(from.ino, &from));
    size = source.attr.size;
  }
  if (from_offset >= size) return std::uint64_t{0};
  length = std::min(length, size - from_offset);
  if (to_offset > kMaxFileSize || length > kMaxFileSize - to_offset) return fail(EFBIG);
  if (from.ino == to.ino && from_offset < to_offset + length && to_offset < from_offset + length) return fail(EINVAL);
  // One step, at most to the next chunk's edge on either side; returns how many bytes it copied.
  const auto step = [&](std::uint64_t at, std::uint64_t target, std::uint32_t bytes) -> Result<std::uint64_t> {
    if (within(at) == 0 && within(target) == 0) {
      Operation op(*this);
      SBOXFS_ASSIGN(const bool shared, op.changing([&]() -> Result<bool> {
        op.state.mu.assert_held();
        SBOXFS_TRY(op.locks_kept(from));
        SBOXFS_TRY(op.locks_kept(to));
        Inode* source = open_file(op, from);
        Inode* sink = source == nullptr ? nullptr : open_file(op, to);
        if (sink == nullptr) return Operation::missing();
        return share_chunk(op, *source, chunk_of(at), *sink, chunk_of(target), bytes);
      }));
      if (shared) {
        to.wrote.store(true, std::memory_order_relaxed);
        return std::uint64_t{bytes};
      }
    }
    SBOXFS_ASSIGN(const Run run, run_at(*this, from, at, bytes));
    if (run.bytes == 0) return std::uint64_t{0};
    if (run.hole) {
      SBOXFS_TRY(copy_hole(to, target, run.bytes));
      return std::uint64_t{run.bytes};
    }
    SBOXFS_ASSIGN(const std::vector<Piece> pieces, read(from, at, run.bytes));
    bool differs = false;
    SBOXFS_ASSIGN(const std::size_t written, write(to, target, joined(pieces), {}, differs));
    return std::uint64_t{written};
  };
  std::uint64_t done = 0;
  while (done < length) {
    const std::uint64_t edge = kChunkSize - std::max(within(from_offset + done), within(to_offset + done));
    Result<std::uint64_t> copied =
        step(from_offset + done, to_offset + done, static_cast<std::uint32_t>(std::min(length - done, edge)));
    if (!copied.ok() && done == 0) return copied;
    if (!copied.ok() || *copied == 0) break;
    done += *copied;
  }
  return done;
}

}  // namespace sboxfs
