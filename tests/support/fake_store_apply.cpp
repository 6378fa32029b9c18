// One batch applied to the rows, in the order the database does it.
#include <algorithm>
#include <stdexcept>

#include "fake_store.hpp"

namespace sboxfs::test {
namespace {

/// Rows of a batch are final states: a key that occurs twice is a mistake of the journal.
template <class Set, class Key>
void once(Set& seen, const Key& key, const char* what) {
  if (!seen.insert(key).second) throw std::logic_error(std::string("twice in one batch: ") + what);
}

void add(std::uint64_t& used, std::int64_t more) {
  const auto now = static_cast<std::int64_t>(used) + more;
  used = now < 0 ? 0 : static_cast<std::uint64_t>(now);
}

}  // namespace

void FakeStore::erase_inode(Ino ino) {
  rows_.inodes.erase(ino);
  rows_.ranges.erase(ino);
  rows_.chunks.erase(rows_.chunks.lower_bound({ino, 0}), rows_.chunks.upper_bound({ino, ~std::uint32_t{0}}));
  rows_.xattrs.erase(rows_.xattrs.lower_bound({ino, {}}), rows_.xattrs.lower_bound({ino + 1, {}}));
}

void FakeStore::apply_data(const Batch& batch, Version version) {
  std::set<std::pair<Ino, std::uint32_t>> chunk_keys;
  for (const ChunkCut& cut : batch.cuts)
    rows_.chunks.erase(rows_.chunks.lower_bound({cut.ino, cut.from}),
                       rows_.chunks.upper_bound({cut.ino, ~std::uint32_t{0}}));
  for (const ChunkPut& put : batch.chunks) {
    const std::pair<Ino, std::uint32_t> key{put.ino, put.idx};
    once(chunk_keys, key, "a chunk");
    if (put.mask == 0) {
      rows_.chunks.erase(key);
      continue;
    }
    if (!put.blob.empty() && rows_.blobs.count(put.blob) == 0) throw std::logic_error("a chunk without its blob");
    rows_.chunks[key] = Chunk{put.idx, put.blob, put.mask, {}};
  }
  for (const PatchPut& put : batch.patches) {
    once(chunk_keys, std::pair<Ino, std::uint32_t>{put.ino, put.idx}, "a patch");
    Chunk& chunk = rows_.chunks[{put.ino, put.idx}];
    chunk.idx = put.idx;
    chunk.mask = put.mask;
    chunk.patches.push_back({version, put.offset, put.data});
  }
  for (const RangesPut& put : batch.ranges) {
    rows_.ranges[put.ino] = put.ranges;
    if (put.ranges.empty()) rows_.ranges.erase(put.ino);
  }
}

void FakeStore::apply(const Batch& batch, Version version) {
  std::set<Ino> inode_keys;
  std::set<std::tuple<Ino, std::uint64_t, std::string>> name_keys;
  std::set<std::pair<Ino, std::string>> xattr_keys;
  for (const InodeRecord& record : batch.inodes) {
    once(inode_keys, record.ino, "an inode");
    rows_.inodes[record.ino] = record;
  }
  for (const DirentKey& key : batch.unlinked) {
    once(name_keys, std::tuple{key.parent, key.cookie, key.name}, "a name");
    rows_.dirents.erase({key.parent, key.cookie, key.name});
  }
  for (const Dirent& dirent : batch.dirents) {
    once(name_keys, std::tuple{dirent.parent, dirent.cookie, dirent.name}, "a name");
    rows_.dirents[{dirent.parent, dirent.cookie, dirent.name}] = dirent;
  }
  apply_data(batch, version);
  for (const XattrPut& put : batch.xattrs) {
    once(xattr_keys, std::pair{put.ino, put.name}, "an xattr");
    if (put.removed) {
      rows_.xattrs.erase({put.ino, put.name});
    } else {
      rows_.xattrs[{put.ino, put.name}] = put.value;
    }
  }
  for (Ino ino : batch.orphans) {
    rows_.orphans.insert(ino);
    rows_.pins.insert(ino);
  }
  for (Ino ino : batch.unpinned) {
    rows_.pins.erase(ino);
    const auto named = rows_.inodes.find(ino);
    if (named != rows_.inodes.end() && named->second.attr.nlink > 0) rows_.orphans.erase(ino);
  }
  for (Ino ino : batch.gone) {
    if (sessions_ > 1) {
      rows_.orphans.insert(ino);
      if (const auto at = rows_.inodes.find(ino); at != rows_.inodes.end()) at->second.attr.nlink = 0;
    } else {
      erase_inode(ino);
    }
  }
  add(rows_.usage.used_blocks, batch.used_blocks);
  add(rows_.usage.used_inodes, batch.used_inodes);
}

}  // namespace sboxfs::test
