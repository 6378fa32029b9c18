#include "data_model.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "sboxfs/base/text.hpp"

namespace sboxfs::test {
namespace {

std::uint64_t block_of(std::uint64_t at) { return at / kBlockSize; }
std::uint64_t blocks_up_to(std::uint64_t at) { return (at + kBlockSize - 1) / kBlockSize; }

}  // namespace

void FileModel::write(std::uint64_t at, const std::string& data) {
  if (data.empty()) return;
  bytes_.resize(std::max<std::size_t>(bytes_.size(), at + data.size()));
  bytes_.replace(at, data.size(), data);
  for (std::uint64_t block = block_of(at); block < blocks_up_to(at + data.size()); ++block)
    blocks_[block] = Block::written;
}

void FileModel::truncate(std::uint64_t size) {
  if (size <= bytes_.size()) blocks_.erase(blocks_.lower_bound(blocks_up_to(size)), blocks_.end());
  bytes_.resize(size);
}

void FileModel::allocate(std::uint64_t from, std::uint64_t to, bool keep_size) {
  for (std::uint64_t block = block_of(from); block < blocks_up_to(to); ++block)
    blocks_.try_emplace(block, Block::allocated);
  if (!keep_size) bytes_.resize(std::max<std::size_t>(bytes_.size(), to));
}

void FileModel::punch(std::uint64_t from, std::uint64_t to) {
  // To the end of the file or beyond: its last block goes whole.
  const std::uint64_t end = to >= bytes_.size() ? blocks_up_to(bytes_.size()) * kBlockSize : to;
  if (from >= end) return;
  const std::uint64_t last = std::min<std::uint64_t>(end, bytes_.size());
  if (from < last) std::fill(bytes_.begin() + static_cast<long>(from), bytes_.begin() + static_cast<long>(last), '\0');
  for (std::uint64_t block = blocks_up_to(from); block < block_of(end); ++block) blocks_.erase(block);
}

void FileModel::zero(std::uint64_t from, std::uint64_t to, bool keep_size) {
  punch(from, to);
  allocate(from, to, keep_size);
}

std::string FileModel::read(std::uint64_t at, std::uint64_t length) const {
  return at >= bytes_.size() ? std::string() : bytes_.substr(at, length);
}

std::optional<std::uint64_t> FileModel::seek(std::uint64_t at, bool data) const {
  if (at >= bytes_.size()) return std::nullopt;
  for (; at < bytes_.size(); at = (block_of(at) + 1) * kBlockSize) {
    const auto block = blocks_.find(block_of(at));
    if ((block != blocks_.end() && block->second == Block::written) == data) return at;
  }
  return data ? std::nullopt : std::optional<std::uint64_t>(bytes_.size());
}

void FileModel::copied(std::uint64_t at, const std::string& data, FakeSession& session, Ino ino) {
  if (data.empty()) return;
  bytes_.resize(std::max<std::size_t>(bytes_.size(), at + data.size()));
  bytes_.replace(at, data.size(), data);
  MutexLock lock(session.state.mu);
  const FileNode& file = *session.state.tree.peek(ino)->file;
  for (std::uint64_t block = block_of(at); block < blocks_up_to(at + data.size()); ++block) {
    const auto chunk = file.chunks.find(static_cast<std::uint32_t>(block / kBlocksPerChunk));
    if (chunk != file.chunks.end() && ((chunk->second.mask >> (block % kBlocksPerChunk)) & 1U) != 0) {
      blocks_[block] = Block::written;
      continue;
    }
    const std::string held = read(block * kBlockSize, kBlockSize);
    REQUIRE(std::all_of(held.begin(), held.end(), [](char byte) { return byte == '\0'; }));
    // Allocated, and not all of it inside one step of the copy: it may stay so.
    const auto covers = [&](const Range& range) {
      return range.from <= block * kBlockSize && block * kBlockSize < range.to;
    };
    const auto known = blocks_.find(block);
    const bool was_allocated = known != blocks_.end() && known->second == Block::allocated;
    const bool allocated = std::any_of(file.ranges.begin(), file.ranges.end(), covers);
    REQUIRE((was_allocated || !allocated));
    if (!allocated) blocks_.erase(block);
  }
}

std::string read_at(FakeSession& session, Handle& handle, std::uint64_t at, std::uint32_t length) {
  const auto pieces = session.vfs.read(handle, at, length);
  if (!pieces.ok()) throw std::runtime_error(cat("read: errno ", pieces.code(), " ", pieces.error().what));
  std::string out;
  for (const Vfs::Piece& piece : *pieces) {
    if (piece.bytes) {
      out.append(*piece.bytes, piece.from, piece.size);
    } else {
      out.append(piece.size, '\0');
    }
  }
  return out;
}

void write_at(FakeSession& session, Handle& handle, std::uint64_t at, const std::string& data) {
  bool differs = false;
  const Result<std::size_t> written = session.vfs.write(handle, at, data, {}, differs);
  if (!written.ok()) throw std::runtime_error(cat("write: errno ", written.code(), " ", written.error().what));
  REQUIRE(*written == data.size());
}

std::string pattern(std::size_t length, unsigned salt) {
  std::string out(length, '\0');
  std::uint32_t state = salt * 2654435761U + 1;
  for (char& byte : out) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>((state >> 24) | 1U);  // never zero: a hole is told from data
  }
  return out;
}

std::uint64_t blocks_of(FakeSession& session, Ino ino) { return session.vfs.getattr(ino, nullptr).value().attr.blocks; }

std::uint64_t size_of(FakeSession& session, Ino ino) { return session.vfs.getattr(ino, nullptr).value().attr.size; }

Status resize(FakeSession& session, Ino ino, std::uint64_t size) {
  AttrChange change;
  change.size = size;
  const Result<Found> changed = session.vfs.setattr(session.root, ino, change, nullptr);
  return changed.ok() ? Status() : Status(changed.error());
}

void check_same(FakeSession& session, Handle& handle, const FileModel& model) {
  REQUIRE(size_of(session, handle.ino) == model.size());
  REQUIRE(blocks_of(session, handle.ino) == model.blocks());
  std::string all;
  while (all.size() < model.size()) {
    const std::string piece = read_at(session, handle, all.size(), 100'000);
    REQUIRE(!piece.empty());
    all += piece;
  }
  REQUIRE(all.size() == model.size());
  if (all != model.bytes()) {
    const auto at = std::mismatch(all.begin(), all.end(), model.bytes().begin()).first - all.begin();
    FAIL(cat("bytes differ from offset ", at));
  }
  bool data = true;
  for (std::uint64_t at = 0;; data = !data) {
    const Result<std::uint64_t> found = session.vfs.seek(handle, at, data ? SEEK_DATA : SEEK_HOLE);
    const std::optional<std::uint64_t> expected = model.seek(at, data);
    CAPTURE(at);
    REQUIRE(found.code() == (expected ? 0 : ENXIO));
    if (!expected) break;
    REQUIRE(*found == *expected);
    at = *found;
  }
}

}  // namespace sboxfs::test
