// One inode in memory: its attributes and, as far as loaded, what hangs on it.
//
// Dirty marks: every part that can change has `dirty`, the number of the journal's batch it last changed in; 0 means
// that it equals the database (as of `seen`). A part is pinned (no load replaces it, no eviction drops it) while it
// is dirty, which lasts until the batch with that number is committed.
// Thread rules: everything here is guarded by State::mu.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sboxfs/model/attr.hpp"
#include "sboxfs/model/batch.hpp"
#include "sboxfs/tree/interval_set.hpp"

namespace sboxfs {

/// A name in a directory. ino 0 is a tombstone: the name was removed here, its removal is not committed yet.
struct DirItem {
  std::string name;
  Ino ino = 0;
  std::uint64_t dirty = 0;
  std::uint8_t type = 0;
  bool in_store = false;  ///< the database has a row with this name (whatever it points to)
};

/// A directory's names by cookie; `loaded` says for which cookies absence is certain.
struct DirNode {
  std::multimap<std::uint64_t, DirItem> items;
  IntervalSet loaded;
  std::uint64_t names = 0;   ///< living names in `items` (rmdir's emptiness check needs a full load as well)
  std::uint32_t streak = 0;  ///< small files read here one after the other: the more, the more are fetched ahead
};

/// One chunk as the database has it, and its current bytes while they differ.
struct ChunkNode {
  Hash blob;                   ///< the committed blob; empty: none
  std::uint32_t mask = 0;      ///< current mask of written blocks
  std::vector<Patch> patches;  ///< committed, not folded
  bool fresh = false;          ///< not based on a committed row (new, or behind a cut): never committed as a patch
  std::shared_ptr<std::string> buffer;  ///< the whole current contents while dirty or in flight; else null
  bool shared = false;  ///< `buffer` was handed out (to a batch or a reader): clone before the next change
  std::uint64_t dirty = 0;
  std::uint64_t in_flight = 0;   ///< the batch that carries a copy of this chunk right now
  std::uint32_t dirty_from = 0;  ///< hull of the bytes changed since the last cut
  std::uint32_t dirty_to = 0;
  std::uint32_t counted = 0;  ///< bytes of `buffer` that the journal has counted since the last cut
  bool rewrite = false;       ///< must be committed whole (punched, truncated, shared by copy_file_range)
};

/// A regular file's contents.
struct FileNode {
  std::map<std::uint32_t, ChunkNode> chunks;
  IntervalSet loaded;         ///< chunk numbers whose rows are known
  std::vector<Range> ranges;  ///< allocated, not written; sorted, disjoint, block-aligned
  bool ranges_loaded = false;
  std::uint64_t ranges_dirty = 0;
  std::uint64_t cut_dirty = 0;  ///< batch in which chunks >= cut_from were cut off
  std::uint32_t cut_from = 0;
  std::vector<Range> changed;  ///< byte ranges changed since the last cut, for the change row; sorted, disjoint
};

struct XattrItem {
  std::string value;
  bool removed = false;
  std::uint64_t dirty = 0;
};

struct XattrNode {
  std::map<std::string, XattrItem> items;
  bool loaded = false;
};

struct Inode {
  explicit Inode(Ino number) : ino(number) {}

  const Ino ino;
  Attr attr;
  Ino parent = 0;                       ///< of a directory; of anything else a hint where its name was last seen
  std::unique_ptr<std::string> target;  ///< of a symlink
  std::unique_ptr<DirNode> dir;
  std::unique_ptr<FileNode> file;
  std::unique_ptr<XattrNode> xattrs;
  std::uint64_t dirty = 0;    ///< of attr (and parent, target)
  std::uint64_t pins = 0;     ///< newest batch any part of this inode is dirty for
  std::uint64_t lookups = 0;  ///< the kernel's lookup count (FUSE: lookup, create, ... add one each, forget subtracts)
  std::uint32_t opens = 0;    ///< open handles
  std::uint32_t writers = 0;  ///< those of them opened for writing: State::open_for_writing
  bool linkable = false;      ///< made without a name (O_TMPFILE): link() may give it one
  bool held = false;          ///< counted in State::held, with `held_blocks`
  std::int64_t held_blocks = 0;
  std::int64_t taken_back_ns = 0;  ///< when the kernel's pages of it were last to be taken back (monotonic, real time)
  std::uint8_t changed = 0;        ///< kChanged* since the last cut
  bool attr_valid = false;
  bool in_store = false;         ///< the database has this inode's row
  bool unlinked = false;         ///< nlink 0 (of a directory: removed): only handles and the kernel still know it
  bool orphan_in_store = false;  ///< committed with nlink 0 while open here: the last close unpins it
  bool touched = true;           ///< used since the eviction's hand last came by

  bool is_dir() const { return (attr.mode & 0170000U) == 0040000U; }
  bool is_file() const { return (attr.mode & 0170000U) == 0100000U; }
};

}  // namespace sboxfs
