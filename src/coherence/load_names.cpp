// Loads of names and listings. A listing takes long enough for commits to pass by, so it is never refused because of
// them: it is installed, and what has changed since it was read is taken back (single names and attributes, which
// load quickly).
#include <dirent.h>

#include <algorithm>
#include <unordered_set>

#include "load_rule.hpp"

namespace sboxfs {
namespace {

// A walk (find, git status, rm -r) doubles the number of directories a query brings, up to 2^8 of them or so many
// entries; it ends with a pause.
constexpr std::uint32_t kLongestWalk = 8;
constexpr std::uint32_t kMostEntries = 20'000;
constexpr std::size_t kMostUnlisted = 100'000;
constexpr std::chrono::seconds kWalkPause{1};

}  // namespace

void Fetcher::take_back(Version at, Ino dir, const std::vector<Entry>& entries) {
  if (at >= state_.seen.version || fault::point("load.install_old")) return;
  std::unordered_set<Ino> installed{dir};
  for (const Entry& entry : entries) installed.insert(entry.inode.ino);
  state_.recent.each_after(at, [&](const Delta& delta) {
    state_.mu.assert_held();
    for (const NameChange& change : delta.names)
      if (change.parent == dir) state_.tree.drop_name(change);
    for (const InodeChange& change : delta.inodes)
      if (installed.count(change.ino) > 0) state_.tree.drop_attr(change);
  });
}

Status Fetcher::load_name(const Need& need) {
  bool known = false;
  {
    MutexLock lock(state_.mu);
    const Inode* dir = state_.tree.peek(need.ino);
    known = dir != nullptr && dir->dir && !dir->dir->loaded.empty();
  }
  // The first look into a directory brings all of it (or its first page).
  if (!known) return load_listing(need.ino, 0);
  return load_by_rule([&] { return loader_.name(need.ino, need.cookie); }, [](Version) { return true; },
                      [&](const LoadedName& loaded) {
                        state_.mu.assert_held();
                        state_.tree.install_name(need.ino, need.cookie, loaded);
                        take_back(loaded.stamp.version, need.ino, loaded.entries);
                      });
}

void Fetcher::install_listing(const LoadedDir& page, std::uint64_t from, Version at) {
  state_.tree.install(page, from);
  take_back(at, page.dir->ino, page.entries);
  for (const Entry& entry : page.entries)
    if (entry.dirent.type == DT_DIR && unlisted_.size() < kMostUnlisted) unlisted_.push_back(entry.dirent.ino);
}

std::vector<Ino> Fetcher::directories_ahead(Ino dir) {
  MutexLock lock(state_.mu);
  const auto now = std::chrono::steady_clock::now();
  walk_ = now - last_listing_ < kWalkPause ? std::min<std::uint32_t>(walk_ + 1, kLongestWalk) : 0;
  last_listing_ = now;
  std::vector<Ino> dirs{dir};
  std::unordered_set<Ino> taken{dir};
  const std::size_t most = std::size_t{1} << walk_;
  const auto take = [&](Ino ino) {
    state_.mu.assert_held();
    const Inode* inode = state_.tree.peek(ino);
    const bool unknown = inode != nullptr && inode->dir && inode->dir->loaded.empty() && inode->pins == 0;
    if (unknown && taken.insert(ino).second) dirs.push_back(ino);
  };
  // A walk goes on with the directory's siblings, then with what was found longest ago.
  const Inode* inode = state_.tree.peek(dir);
  Inode* parent = inode == nullptr ? nullptr : state_.tree.peek(inode->parent);
  if (parent != nullptr && parent->dir && most > 1) {
    const auto& items = parent->dir->items;
    auto at = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.second.ino == dir; });
    for (; at != items.end() && dirs.size() < most; ++at)
      if (at->second.type == DT_DIR && at->second.ino != 0) take(at->second.ino);
  }
  while (most > 1 && dirs.size() < most && !unlisted_.empty()) {
    take(unlisted_.front());
    unlisted_.pop_front();
  }
  return dirs;
}

Status Fetcher::load_directories(const std::vector<Ino>& dirs) {
  return load_by_rule([&] { return loader_.directories(dirs, limits_.directory_page, kMostEntries); },
                      [](Version) { return true; },
                      [&](const LoadedTree& loaded) {
                        state_.mu.assert_held();
                        for (const LoadedDir& page : loaded.dirs)
                          if (page.dir) install_listing(page, 0, loaded.stamp.version);
                      });
}

Status Fetcher::load_listing(Ino dir, std::uint64_t from) {
  if (from == 0) {
    const std::vector<Ino> dirs = directories_ahead(dir);
    if (dirs.size() > 1) {
      SBOXFS_TRY(load_directories(dirs));
      MutexLock lock(state_.mu);
      const Inode* inode = state_.tree.peek(dir);
      if (inode != nullptr && inode->dir && !inode->dir->loaded.empty()) return {};
    }
  }
  bool exists = false;
  SBOXFS_TRY(load_by_rule([&] { return loader_.directory(dir, from, limits_.directory_page); },
                          [](Version) { return true; },
                          [&](const LoadedDir& loaded) {
                            state_.mu.assert_held();
                            exists = loaded.dir.has_value();
                            if (exists) install_listing(loaded, from, loaded.stamp.version);
                          }));
  if (!exists) return fail(ESTALE, "the directory is gone");
  return {};
}

}  // namespace sboxfs
