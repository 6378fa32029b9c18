// Loads of chunk rows and contents. Small files of a directory are fetched a directory at a time once they are read
// one after the other (grep -r, tar, git status): one query instead of two a file.
#include <algorithm>
#include <unordered_set>

#include "load_rule.hpp"

namespace sboxfs {
namespace {

constexpr std::uint64_t kFirstBudget = 64 * 1024;
constexpr std::uint64_t kLargestBudget = 4 << 20;
constexpr std::size_t kMostFiles = 2000;

bool small_and_unknown(const Inode& inode) {
  return inode.attr_valid && inode.is_file() && inode.attr.size > 0 && inode.attr.size <= kChunkSize &&
         (inode.attr.flags & kHasRanges) == 0 && !inode.unlinked && inode.pins == 0 && inode.opens <= 1 &&
         (!inode.file || inode.file->loaded.empty());
}

}  // namespace

std::vector<Ino> Fetcher::small_files_behind(Ino ino, std::uint64_t& budget) {
  MutexLock lock(state_.mu);
  std::vector<Ino> files;
  const Inode* inode = state_.tree.peek(ino);
  if (inode == nullptr || !small_and_unknown(*inode)) return files;
  files.push_back(ino);
  Inode* dir = state_.tree.peek(inode->parent);
  if (dir == nullptr || !dir->dir) return files;
  budget = std::min(kLargestBudget, kFirstBudget << std::min<std::uint32_t>(dir->dir->streak++, 8));
  std::uint64_t bytes = inode->attr.size;
  auto at = std::find_if(dir->dir->items.begin(), dir->dir->items.end(),
                         [&](const auto& item) { return item.second.ino == ino; });
  for (; at != dir->dir->items.end() && bytes < budget && files.size() < kMostFiles; ++at) {
    const Ino next = at->second.ino;
    const Inode* sibling = next == 0 || next == ino ? nullptr : state_.tree.peek(next);
    if (sibling == nullptr || !small_and_unknown(*sibling)) continue;
    files.push_back(next);
    bytes += sibling->attr.size;
  }
  return files;
}

Status Fetcher::load_chunks(const Need& need) {
  if (need.first == 0) {
    std::uint64_t budget = kFirstBudget;
    const std::vector<Ino> files = small_files_behind(need.ino, budget);
    if (!files.empty()) return load_small_files(files, std::max<std::uint64_t>(budget, kChunkSize));
  }
  bool gone = false;
  SBOXFS_TRY(load_by_rule([&] { return loader_.chunks(need.ino, need.first, need.limit); },
                          [&](Version version) {
                            state_.mu.assert_held();
                            return !state_.recent.changed_inode(version, need.ino);
                          },
                          [&](const LoadedChunks& loaded) {
                            state_.mu.assert_held();
                            gone = loaded.gone;
                            if (!gone) state_.tree.install(need.ino, need.first, loaded.end - need.first, loaded);
                          }));
  // A removed file that was open here while this session counted as dead. Without rows it would read as a hole.
  if (gone) return fail(ESTALE, "the file was removed, and its storage is gone");
  return {};
}

Status Fetcher::load_small_files(const std::vector<Ino>& files, std::uint64_t budget) {
  return load_by_rule([&] { return loader_.contents(files, budget); }, [](Version) { return true; },
                      [&](const LoadedContents& loaded) {
                        state_.mu.assert_held();
                        std::unordered_set<Ino> with_rows;
                        for (const SmallFile& file : loaded.files) with_rows.insert(file.ino);
                        const auto install = [&](Ino ino, const LoadedChunks& rows) {
                          state_.mu.assert_held();
                          const Inode* inode = state_.tree.peek(ino);
                          // Changed since it was read, or since it was chosen: left for a load of its own.
                          if (inode == nullptr || !small_and_unknown(*inode)) return false;
                          if (state_.recent.changed_inode(loaded.stamp.version, ino) && loaded.stamp != state_.seen &&
                              !fault::point("load.install_old"))
                            return false;
                          state_.tree.install(ino, 0, 1, rows);
                          return true;
                        };
                        for (const SmallFile& file : loaded.files) {
                          LoadedChunks rows{loaded.stamp, {file.chunk}, {}};
                          if (!install(file.ino, rows)) continue;
                          cache_.put(content_key(file.chunk.blob, file.chunk.patches),
                                     std::make_shared<const std::string>(apply_patches(file.data, file.chunk.patches)));
                        }
                        // The asked file has no chunk at all: a hole.
                        if (with_rows.count(files.front()) == 0)
                          install(files.front(), LoadedChunks{loaded.stamp, {}, {}});
                      });
}

Status Fetcher::load_contents(const Need& need) {
  std::vector<Hash> hashes;
  for (const Need::Content& content : need.contents)
    if (!content.blob.empty() && !cache_.get(content.blob)) hashes.push_back(content.blob);
  std::sort(hashes.begin(), hashes.end());
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  std::vector<std::string> blobs;
  if (!hashes.empty()) {
    SBOXFS_ASSIGN(blobs, loader_.blobs(hashes));
  }
  for (const Need::Content& content : need.contents) {
    std::string bytes;
    if (!content.blob.empty()) {
      const auto at = std::lower_bound(hashes.begin(), hashes.end(), content.blob);
      if (at != hashes.end() && *at == content.blob) {
        bytes = blobs[static_cast<std::size_t>(at - hashes.begin())];
      } else if (const Bytes cached = cache_.get(content.blob)) {
        bytes = *cached;
      } else {
        continue;  // evicted meanwhile: the caller asks again
      }
    }
    cache_.put(content_key(content.blob, content.patches),
               std::make_shared<const std::string>(apply_patches(std::move(bytes), content.patches)));
  }
  return {};
}

}  // namespace sboxfs
