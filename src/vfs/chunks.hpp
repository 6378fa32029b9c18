// Steps on a file's chunks, shared by the operations on data. Inside attempts: what is missing goes into op.need.
#pragma once

#include <cstdint>

#include "operation.hpp"

namespace sboxfs {

constexpr std::uint32_t chunk_of(std::uint64_t offset) { return static_cast<std::uint32_t>(offset / kChunkSize); }
constexpr std::uint32_t within(std::uint64_t offset) { return static_cast<std::uint32_t>(offset % kChunkSize); }
/// To block boundaries.
constexpr std::uint64_t round_down(std::uint64_t at) { return at / kBlockSize * kBlockSize; }
constexpr std::uint64_t round_up(std::uint64_t at) { return (at + kBlockSize - 1) / kBlockSize * kBlockSize; }

/// The blocks that bytes [from, to) of a chunk touch, as a mask.
std::uint32_t blocks_touched(std::uint32_t from, std::uint32_t to);
/// The blocks that lie wholly inside.
std::uint32_t blocks_inside(std::uint32_t from, std::uint32_t to);

/// The regular file behind a handle; EBADF-like errors do not happen here. Null with op.need set.
Inode* open_file(Operation& op, const Handle& handle) REQUIRES(op.state.mu);

/// Whether the rows of chunks first..last and the ranges are known; else op.need.
bool rows_known(Operation& op, Inode& inode, std::uint32_t first, std::uint32_t last) REQUIRES(op.state.mu);

/// A chunk's current bytes (null: none, all zero). When they are missing, adds the chunk to op.need and returns false.
bool chunk_bytes(Operation& op, Inode& inode, std::uint32_t idx, Bytes& bytes) REQUIRES(op.state.mu);

/// The chunk for changing, with a buffer of its own that holds its current bytes (`current`, from chunk_bytes()).
ChunkNode& own_chunk(Operation& op, Inode& inode, std::uint32_t idx, const Bytes& current) REQUIRES(op.state.mu);

/// How many of the blocks in `mask` of chunk `idx` are allocated but not written.
unsigned allocated_blocks(const FileNode& file, std::uint32_t idx, std::uint32_t mask);
/// They are written now (or gone): takes them out of the ranges. Returns how many there were.
unsigned take_allocated(Operation& op, Inode& inode, std::uint64_t from, std::uint64_t to) REQUIRES(op.state.mu);

}  // namespace sboxfs
