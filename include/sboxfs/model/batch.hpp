// A batch: the consistent cut of the journal that one transaction commits. Rows are final states, not steps:
// each key occurs once, so the order inside a batch does not matter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sboxfs/model/attr.hpp"
#include "sboxfs/model/delta.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs {

/// Bytes of a chunk that nobody changes any more.
using Bytes = std::shared_ptr<const std::string>;

/// The chunk becomes this blob; its patches are deleted.
struct ChunkPut {
  Ino ino = 0;
  std::uint32_t idx = 0;
  Hash blob;               ///< empty until the committer hashed `data`
  std::uint32_t mask = 0;  ///< 0: the chunk's row is deleted (a hole)
  Bytes data;              ///< null: the blob exists already (copy_file_range shares it)
};

/// A small overwrite is added beside the chunk's blob; the row's version is the batch's.
struct PatchPut {
  Ino ino = 0;
  std::uint32_t idx = 0;
  std::uint32_t mask = 0;  ///< the chunk's new mask
  std::uint32_t offset = 0;
  std::string data;
};

/// Chunks with idx >= from go, patches included (truncation).
struct ChunkCut {
  Ino ino = 0;
  std::uint32_t from = 0;
};

/// Replaces all of the inode's allocated-unwritten ranges.
struct RangesPut {
  Ino ino = 0;
  std::vector<Range> ranges;
};

struct XattrPut {
  Ino ino = 0;
  std::string name;
  std::string value;
  bool removed = false;
};

struct DirentKey {
  Ino parent = 0;
  std::uint64_t cookie = 0;
  std::string name;
  bool operator==(const DirentKey&) const = default;
};

struct Batch {
  BatchId id;
  std::vector<InodeRecord> inodes;  ///< inserted or replaced whole
  std::vector<DirentKey> unlinked;  ///< names that go
  std::vector<Dirent> dirents;      ///< names that appear or change their target
  std::vector<ChunkCut> cuts;       ///< applied before `chunks` and `patches`
  std::vector<ChunkPut> chunks;
  std::vector<PatchPut> patches;
  std::vector<RangesPut> ranges;
  std::vector<XattrPut> xattrs;
  std::vector<Ino> orphans;      ///< nlink became 0, this session still has them open: an orphan row and a pin
  std::vector<Ino> gone;         ///< nlink became 0 and not open here: deleted at once if no other session lives,
                                 ///< else an orphan row
  std::vector<Ino> unpinned;     ///< orphans this session has closed, or given a name: its pin goes, and then the
                                 ///< orphan row too
  std::int64_t used_blocks = 0;  ///< change of the sandbox's used 4 KiB blocks
  std::int64_t used_inodes = 0;  ///< change of its number of inodes
  Delta delta;
};

}  // namespace sboxfs
