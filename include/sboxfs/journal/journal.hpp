// Changes that were accepted but not committed yet, as marks on the tree's parts plus lists of the marked keys.
//
// Batch numbers: changes gather in batch gathering() = n+1 while batch n is in flight. A part changed twice in one
// batch is listed once (coalescing); what was created and removed between two cuts never reaches the database.
// The cut is consistent because every operation changes tree and journal in one critical section of State::mu.
// Thread rules: guarded by State::mu.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sboxfs/model/batch.hpp"
#include "sboxfs/tree/tree.hpp"

namespace sboxfs {

/// The keys of everything one batch carries; kept while it is in flight, to settle the marks afterwards.
struct JournalKeys {
  std::vector<Ino> inodes;
  std::vector<DirentKey> names;
  struct ChunkKey {
    Ino ino = 0;
    std::uint32_t idx = 0;
  };
  std::vector<ChunkKey> chunks;
  struct XattrKey {
    Ino ino = 0;
    std::string name;
  };
  std::vector<XattrKey> xattrs;
  std::vector<Ino> files;  ///< cuts and ranges
  std::vector<Ino> unpinned;
};

/// A batch on its way, with what is needed to settle or to drop it.
struct InFlight {
  std::uint64_t number = 0;
  Batch batch;
  JournalKeys keys;
  std::uint64_t bytes = 0;
  std::uint64_t ops = 0;
};

/// Bytes under their content key.
struct CleanChunk {
  Hash key;
  Bytes bytes;
};

class Journal {
 public:
  std::uint64_t gathering() const { return gathering_; }
  /// Newest committed batch number (0 at the start).
  std::uint64_t committed() const { return committed_; }
  /// What fsync waits for: the batch that holds the newest accepted change; <= committed() when all is committed.
  std::uint64_t newest() const { return ops_ > 0 ? gathering_ : gathering_ - 1; }

  /// Attributes, parent or target changed. `what`: kChanged* bits for the change row.
  void touch(Inode& inode, std::uint8_t what = kChangedAttr);
  /// atime alone: rides in this batch if there is one anyway, never makes one.
  void touch_lazily(Inode& inode);
  void touch_name(Inode& dir, std::uint64_t cookie, DirItem& item);
  /// Bytes [from, to) of the chunk changed; its buffer must hold the new contents (null with rewrite: a shared blob).
  void touch_chunk(Inode& inode, std::uint32_t idx, ChunkNode& chunk, std::uint32_t from, std::uint32_t to);
  /// Chunks >= from were cut off (the caller erased them from FileNode::chunks).
  void touch_cut(Inode& inode, std::uint32_t from);
  void touch_ranges(Inode& inode);
  void touch_xattr(Inode& inode, const std::string& name, XattrItem& item);
  /// File bytes [from, to) differ now: goes into the change row.
  void changed_data(Inode& inode, std::uint64_t from, std::uint64_t to);
  /// The last handle of a committed orphan was closed.
  void unpin(Inode& inode);
  /// Usage of the sandbox, in 4 KiB blocks and inodes (linked inodes only).
  void use(std::int64_t blocks, std::int64_t inodes) {
    used_blocks_ += blocks;
    used_inodes_ += inodes;
  }
  /// The usage of everything accepted but not committed (gathering and in flight).
  std::int64_t pending_blocks() const { return used_blocks_ + flying_blocks_; }
  std::int64_t pending_inodes() const { return used_inodes_ + flying_inodes_; }

  /// Bytes and operations accepted but not committed (gathering and in flight): what back-pressure looks at.
  std::uint64_t bytes() const { return bytes_ + flying_bytes_; }
  std::uint64_t ops() const { return ops_ + flying_ops_; }
  bool empty() const { return ops_ == 0; }
  bool in_flight() const { return gathering_ > committed_ + 1; }

  /// Cuts everything gathered so far into a batch (not while one is in flight). Blob hashes are still empty.
  InFlight cut(Tree& tree);
  /// The batch is committed as `version`: its marks become clean, new bases are recorded, unlinked inodes nobody uses
  /// any more are erased. Returns the contents of chunks that became clean, for the content cache.
  std::vector<CleanChunk> settle(Tree& tree, const InFlight& flight, Version version);
  /// Everything is lost: forgets all marks' lists (the tree is dropped by the caller).
  void reset();

 private:
  bool list(std::uint64_t& dirty, Inode& owner);
  void cut_inodes(Tree& tree, Batch& batch);
  void cut_names(Tree& tree, Batch& batch);
  void cut_chunks(Tree& tree, Batch& batch);
  void cut_files(Tree& tree, Batch& batch);
  void cut_xattrs(Tree& tree, Batch& batch);
  void cut_lazily(Tree& tree, Batch& batch);

  std::uint64_t gathering_ = 1;
  std::uint64_t committed_ = 0;
  JournalKeys keys_;
  std::vector<Ino> lazy_;
  std::uint64_t bytes_ = 0;
  std::uint64_t ops_ = 0;
  std::uint64_t flying_bytes_ = 0;
  std::uint64_t flying_ops_ = 0;
  std::int64_t used_blocks_ = 0;
  std::int64_t used_inodes_ = 0;
  std::int64_t flying_blocks_ = 0;
  std::int64_t flying_inodes_ = 0;
};

}  // namespace sboxfs
