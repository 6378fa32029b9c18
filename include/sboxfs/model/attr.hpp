// What a tree is made of, as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sboxfs/base/hash.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs {

/// A file's pieces are this long; a block is the grain of holes (st_blocks counts blocks, SEEK_HOLE sees them).
constexpr std::uint32_t kChunkSize = 128 * 1024;
constexpr std::uint32_t kBlockSize = 4096;
constexpr std::uint32_t kBlocksPerChunk = kChunkSize / kBlockSize;
/// The largest file: 1 TiB; beyond it EFBIG.
constexpr std::uint64_t kMaxFileSize = std::uint64_t{1} << 40;
constexpr std::uint32_t kChunksAtMost = kMaxFileSize / kChunkSize;
constexpr std::size_t kMaxNameBytes = 255;

/// An inode's attributes (stat(2)). Times are nanoseconds since 1970, by the database's clock.
struct Attr {
  std::uint32_t mode = 0;  ///< type and permission bits
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t nlink = 0;
  std::uint64_t size = 0;    ///< bytes; of a symlink its target's length
  std::uint64_t blocks = 0;  ///< written or allocated 4 KiB blocks (st_blocks is 8 times that)
  std::uint32_t rdev = 0;
  std::uint32_t flags = 0;  ///< kHas* below
  std::int64_t atime = 0;
  std::int64_t mtime = 0;
  std::int64_t ctime = 0;
  bool operator==(const Attr&) const = default;
};

constexpr std::uint32_t kHasXattrs = 1;  ///< at least one row in xattrs: without it GETXATTR is answered from memory
constexpr std::uint32_t kHasRanges = 2;  ///< at least one row in ranges (allocated, not written)

/// An inode's row.
struct InodeRecord {
  Ino ino = 0;
  Attr attr;
  Ino parent = 0;      ///< of a directory; 0 for everything else
  std::string target;  ///< of a symlink
  bool operator==(const InodeRecord&) const = default;
};

/// A directory entry's row. `type` is the file type bits of the inode's mode (S_IFMT), shifted right by 12 (DT_*).
struct Dirent {
  Ino parent = 0;
  std::uint64_t cookie = 0;
  std::string name;
  Ino ino = 0;
  std::uint8_t type = 0;
  bool operator==(const Dirent&) const = default;
};

/// A small overwrite of a committed chunk, kept beside its blob until it is folded. Ordered by `version`.
struct Patch {
  Version version = 0;
  std::uint32_t offset = 0;  ///< in the chunk
  std::string data;
  bool operator==(const Patch&) const = default;
};

/// One chunk of a file. A missing chunk is a hole. Bytes of the chunk behind the blob's end read as zero.
struct Chunk {
  std::uint32_t idx = 0;
  Hash blob;               ///< empty: no blob (all zero, or patches only)
  std::uint32_t mask = 0;  ///< bit b: block b was written
  std::vector<Patch> patches;
  bool operator==(const Chunk&) const = default;
};

/// Bytes [from, to) of a file that are allocated but not written.
struct Range {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  bool operator==(const Range&) const = default;
};

struct Xattr {
  std::string name;
  std::string value;
  bool operator==(const Xattr&) const = default;
};

}  // namespace sboxfs
