// Reading the truth. Implemented by store (Postgres) and by the tests' fakes.
//
// Every answer carries the sandbox's stamp as seen by the very statement that read the rows (design, load rule);
// who installs it in memory compares that stamp with `seen` (coherence/fetcher.hpp).
// Errors of every function: ESTALE the sandbox was destroyed or is unknown; EIO the database can not be reached within
// the I/O time-out or answered something unexpected; EINTR the calling request was interrupted
// (base/blocking.hpp). Thread rules: every function may be called from any thread, blocks, and is called
// without any Mutex held, inside a BlockingSection.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sboxfs/model/batch.hpp"
#include "sboxfs/model/delta.hpp"

namespace sboxfs {

/// A directory entry with its inode.
struct Entry {
  Dirent dirent;
  InodeRecord inode;
};

struct LoadedInode {
  Stamp stamp;
  std::optional<InodeRecord> inode;  ///< nothing: no such inode
};

struct LoadedName {
  Stamp stamp;
  std::vector<Entry> entries;  ///< every entry with the asked cookie (equal hashes included); empty: none
};

struct LoadedDir {
  Stamp stamp;
  std::optional<InodeRecord> dir;  ///< the directory itself; nothing: no such inode
  std::vector<Entry> entries;      ///< ordered by cookie
  std::uint64_t complete_to = 0;   ///< all entries with from <= cookie <= complete_to are here; kLastCookie at the end
};

struct LoadedTree {
  Stamp stamp;
  std::vector<LoadedDir> dirs;  ///< whole directories (their own stamps are unused)
};

struct LoadedChunks {
  Stamp stamp;
  std::vector<Chunk> chunks;  ///< ordered by idx, with their patches
  std::vector<Range> ranges;  ///< all of the inode's allocated-unwritten ranges
  bool gone = false;          ///< there is no such inode any more: nothing else is true
  std::uint32_t end = 0;      ///< from the first one asked for on, `chunks` is all there is below this one
};

struct LoadedXattrs {
  Stamp stamp;
  std::vector<Xattr> xattrs;
};

/// A small file's only chunk, with its bytes.
struct SmallFile {
  Ino ino = 0;
  Chunk chunk;
  std::string data;  ///< the blob's plain bytes, without the patches
};

struct LoadedContents {
  Stamp stamp;
  std::vector<SmallFile> files;
};

struct LoadedChanges {
  Stamp current;  ///< the sandbox's stamp now
  Epoch epoch = 0;
  bool destroyed = false;
  std::optional<BatchId> base;  ///< the batch in the change row of `after`; nothing: that row is gone
  std::vector<Change> changes;  ///< (after, current], ordered, without a gap; empty when `base` is nothing
};

/// The sandbox's quota and what of it is used (linked inodes and their blocks; as of the last commit).
struct Usage {
  std::uint64_t quota_blocks = 0;  ///< 4 KiB blocks; 0: no quota
  std::uint64_t quota_inodes = 0;  ///< 0: no quota
  std::uint64_t used_blocks = 0;
  std::uint64_t used_inodes = 0;

  bool limited() const { return quota_blocks > 0 || quota_inodes > 0; }
  /// Counts so many more, or fewer; never below none.
  void add(std::int64_t blocks, std::int64_t inodes) {
    const auto count = [](std::uint64_t& used, std::int64_t more) {
      used = more < 0 && used < static_cast<std::uint64_t>(-more) ? 0 : used + static_cast<std::uint64_t>(more);
    };
    count(used_blocks, blocks);
    count(used_inodes, inodes);
  }
};

/// What a session must know before its first request.
struct SandboxFacts {
  Stamp stamp;
  NameKey name_key{};
  Usage usage;
};

class Loader {
 public:
  virtual ~Loader() = default;
  /// Version, cookie key, quota and usage, from the sandbox's row.
  virtual Result<SandboxFacts> facts() = 0;
  virtual Result<LoadedInode> inode(Ino ino) = 0;
  virtual Result<LoadedName> name(Ino parent, std::uint64_t cookie) = 0;
  /// Entries from cookie `from` on, at most about `limit` (never splitting equal cookies).
  virtual Result<LoadedDir> directory(Ino dir, std::uint64_t from, std::uint32_t limit) = 0;
  /// Whole directories in one query, as many of `dirs` (in order) as fit into about `limit` entries in total; a
  /// directory larger than `dir_limit` is left out. For prefetching.
  virtual Result<LoadedTree> directories(std::span<const Ino> dirs, std::uint32_t dir_limit, std::uint32_t limit) = 0;
  /// The first `limit` (> 0) chunks that exist from `first` on: a hole costs nothing, however large.
  virtual Result<LoadedChunks> chunks(Ino ino, std::uint32_t first, std::uint32_t limit) = 0;
  /// The plain bytes of the blobs, in the order asked. EIO when one is missing. No stamp: a blob never changes.
  virtual Result<std::vector<std::string>> blobs(std::span<const Hash> hashes) = 0;
  /// First chunks of the given files with contents, up to `max_bytes` in total (in order; the rest is left out).
  virtual Result<LoadedContents> contents(std::span<const Ino> files, std::uint64_t max_bytes) = 0;
  virtual Result<LoadedXattrs> xattrs(Ino ino) = 0;
  /// The change rows after version `after`, and where the sandbox is now.
  virtual Result<LoadedChanges> changes(Version after) = 0;
};

}  // namespace sboxfs
