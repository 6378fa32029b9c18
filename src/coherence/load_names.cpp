// Loads of names and listings. A listing takes long enough for commits to pass by, so it is never refused because of
// them: it is installed, and what has changed since it was read is taken back (single names and attributes, which
// load quickly).
#include <unordered_set>

#include "load_rule.hpp"

namespace sboxfs {

void Fetcher::take_back(Version at, Ino dir, const std::vector<Entry>& entries) {
  if (at >= state_.seen.version) return;
  std::unordered_set<Ino> installed{dir};
  for (const Entry& entry : entries) installed.insert(entry.inode.ino);
  state_.recent.each_after(at, [&](const Delta& delta) {
    state_.mu.assert_held();
    for (const NameChange& change : delta.names)
      if (change.parent == dir) state_.tree.drop_name(change);
    for (const InodeChange& change : delta.inodes)
      if (installed.count(change.ino) > 0) state_.tree.drop_attr(change.ino);
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

Status Fetcher::load_listing(Ino dir, std::uint64_t from) {
  bool exists = false;
  SBOXFS_TRY(load_by_rule([&] { return loader_.directory(dir, from, limits_.directory_page); },
                          [](Version) { return true; },
                          [&](const LoadedDir& loaded) {
                            state_.mu.assert_held();
                            exists = loaded.dir.has_value();
                            state_.tree.install(loaded, from);
                            take_back(loaded.stamp.version, dir, loaded.entries);
                          }));
  if (!exists) return fail(ESTALE, "the directory is gone");
  return {};
}

}  // namespace sboxfs
