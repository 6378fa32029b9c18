// fsck of the rows: what must hold in every committed state.
#include <sys/stat.h>

#include <bit>

#include "fake_store.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs::test {
namespace {

struct Links {
  std::uint32_t names = 0;
  std::uint32_t subdirs = 0;
  Ino parent = 0;
};

class Checker {
 public:
  explicit Checker(const FakeStore::Rows& rows) : rows_(rows) {}

  std::vector<std::string> run() {
    names();
    for (const auto& [ino, record] : rows_.inodes) inode(ino, record);
    data();
    usage();
    return std::move(out_);
  }

 private:
  void names() {
    for (const auto& [key, dirent] : rows_.dirents) {
      if (name_cookie(rows_.name_key, dirent.name) != dirent.cookie) problem("cookie of ", dirent.name);
      const auto child = rows_.inodes.find(dirent.ino);
      const auto parent = rows_.inodes.find(dirent.parent);
      if (child == rows_.inodes.end()) {
        problem("no inode behind ", dirent.name);
        continue;
      }
      if (parent == rows_.inodes.end() || !S_ISDIR(parent->second.attr.mode)) problem("no directory of ", dirent.name);
      if (dirent.type != (child->second.attr.mode & S_IFMT) >> 12) problem("type of ", dirent.name);
      Links& links = links_[dirent.ino];
      ++links.names;
      links.parent = dirent.parent;
      if (S_ISDIR(child->second.attr.mode)) ++links_[dirent.parent].subdirs;
    }
  }

  void inode(Ino ino, const InodeRecord& record) {
    const Links links = links_[ino];
    const Attr& attr = record.attr;
    const bool orphan = rows_.orphans.count(ino) > 0;
    std::uint32_t expected = links.names;
    if (S_ISDIR(attr.mode)) {
      const bool living = ino == kRootIno || links.names > 0;
      if (links.names > 1) problem("directory ", ino, " has ", links.names, " names");
      if (ino != kRootIno && living && record.parent != links.parent) problem("parent of directory ", ino);
      expected = living ? 2 + links.subdirs : 0;
    }
    if (attr.nlink != expected) problem("inode ", ino, " has nlink ", attr.nlink, ", not ", expected);
    if (orphan != (attr.nlink == 0)) problem("inode ", ino, orphan ? " is a linked orphan" : " is no orphan");
    if (S_ISLNK(attr.mode) && record.target.size() != attr.size) problem("size of symlink ", ino);
    const auto first = rows_.xattrs.lower_bound({ino, {}});
    const bool has = first != rows_.xattrs.end() && first->first.first == ino;
    if (has != ((attr.flags & kHasXattrs) != 0)) problem("kHasXattrs of ", ino);
    if ((rows_.ranges.count(ino) > 0) != ((attr.flags & kHasRanges) != 0)) problem("kHasRanges of ", ino);
  }

  void data() {
    std::map<Ino, std::uint64_t> blocks;
    for (const auto& [key, chunk] : rows_.chunks) {
      const auto [ino, idx] = key;
      if (rows_.inodes.count(ino) == 0) problem("chunk of nobody ", ino);
      blocks[ino] += static_cast<std::uint64_t>(std::popcount(chunk.mask));
      if (chunk.mask == 0) problem("empty chunk ", idx, " of ", ino);
      if (!chunk.blob.empty() && rows_.blobs.count(chunk.blob) == 0) problem("missing blob of ", ino);
    }
    for (const auto& [ino, ranges] : rows_.ranges) {
      if (rows_.inodes.count(ino) == 0) problem("ranges of nobody ", ino);
      for (const Range& range : ranges) blocks[ino] += (range.to - range.from) / kBlockSize;
    }
    for (const auto& [key, value] : rows_.xattrs)
      if (rows_.inodes.count(key.first) == 0) problem("xattr of nobody ", key.first);
    for (const auto& [ino, record] : rows_.inodes)
      if (record.attr.blocks != blocks[ino])
        problem("inode ", ino, " has ", blocks[ino], " blocks, its row says ", record.attr.blocks);
  }

  void usage() {
    std::uint64_t inodes = 0;
    std::uint64_t blocks = 0;
    for (const auto& [ino, record] : rows_.inodes) {
      if (record.attr.nlink == 0) continue;
      ++inodes;
      blocks += record.attr.blocks;
    }
    if (rows_.usage.used_inodes != inodes) problem("used inodes ", rows_.usage.used_inodes, ", not ", inodes);
    if (rows_.usage.used_blocks != blocks) problem("used blocks ", rows_.usage.used_blocks, ", not ", blocks);
  }

  template <class... Pieces>
  void problem(const Pieces&... pieces) {
    out_.push_back(cat(pieces...));
  }

  const FakeStore::Rows& rows_;
  std::map<Ino, Links> links_;
  std::vector<std::string> out_;
};

}  // namespace

std::vector<std::string> FakeStore::problems() const { return Checker(rows()).run(); }

}  // namespace sboxfs::test
