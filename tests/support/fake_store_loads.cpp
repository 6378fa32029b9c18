#include <algorithm>

#include "fake_store.hpp"

namespace sboxfs::test {

template <class Read>
auto FakeStore::load(const char* what, Read read) -> Result<decltype(read())> {
  MutexLock lock(mutex_);
  ++calls_[what];
  SBOXFS_TRY(load_failures_.next());
  if (rows_.destroyed) return fail(ESTALE, "the sandbox was destroyed");
  auto answer = read();
  run_when_read(what, lock);
  if (!wait(loads_held_, lock)) return fail(EINTR);
  return answer;
}

Result<SandboxFacts> FakeStore::facts() {
  return load("facts", [&] {
    mutex_.assert_held();
    return SandboxFacts{rows_.stamp, rows_.name_key, rows_.usage};
  });
}

Result<LoadedInode> FakeStore::inode(Ino ino) {
  return load("inode", [&] {
    mutex_.assert_held();
    LoadedInode out{rows_.stamp, std::nullopt};
    if (const auto at = rows_.inodes.find(ino); at != rows_.inodes.end()) out.inode = at->second;
    return out;
  });
}

Result<LoadedName> FakeStore::name(Ino parent, std::uint64_t cookie) {
  return load("name", [&] {
    mutex_.assert_held();
    LoadedName out{rows_.stamp, {}};
    for (auto at = rows_.dirents.lower_bound({parent, cookie, {}});
         at != rows_.dirents.end() && at->second.parent == parent && at->second.cookie == cookie; ++at)
      out.entries.push_back({at->second, rows_.inodes.at(at->second.ino)});
    return out;
  });
}

LoadedDir FakeStore::list(Ino dir, std::uint64_t from, std::uint32_t limit) const {
  LoadedDir out{rows_.stamp, std::nullopt, {}, kLastCookie};
  const auto record = rows_.inodes.find(dir);
  if (record == rows_.inodes.end()) return out;
  out.dir = record->second;
  for (auto at = rows_.dirents.lower_bound({dir, from, {}}); at != rows_.dirents.end() && at->second.parent == dir;
       ++at) {
    const std::uint64_t cookie = at->second.cookie;
    if (out.entries.size() >= limit && out.entries.back().dirent.cookie != cookie) {
      out.complete_to = out.entries.back().dirent.cookie;
      break;
    }
    out.entries.push_back({at->second, rows_.inodes.at(at->second.ino)});
  }
  return out;
}

Result<LoadedDir> FakeStore::directory(Ino dir, std::uint64_t from, std::uint32_t limit) {
  return load("directory", [&] {
    mutex_.assert_held();
    return list(dir, from, limit);
  });
}

Result<LoadedTree> FakeStore::directories(std::span<const Ino> dirs, std::uint32_t dir_limit, std::uint32_t limit) {
  return load("directories", [&] {
    mutex_.assert_held();
    LoadedTree out{rows_.stamp, {}};
    std::size_t total = 0;
    for (Ino dir : dirs) {
      LoadedDir listing = list(dir, 0, dir_limit);
      if (!listing.dir || listing.complete_to != kLastCookie) continue;
      if (total + listing.entries.size() > limit) break;
      total += listing.entries.size();
      out.dirs.push_back(std::move(listing));
    }
    return out;
  });
}

Result<LoadedChunks> FakeStore::chunks(Ino ino, std::uint32_t first, std::uint32_t limit) {
  return load("chunks", [&] {
    mutex_.assert_held();
    LoadedChunks out{rows_.stamp, {}, {}, rows_.inodes.count(ino) == 0, kChunksAtMost};
    for (auto at = rows_.chunks.lower_bound({ino, first}); at != rows_.chunks.end() && at->first.first == ino; ++at) {
      if (out.chunks.size() == limit) {
        out.end = out.chunks.back().idx + 1;
        break;
      }
      out.chunks.push_back(at->second);
    }
    if (const auto at = rows_.ranges.find(ino); at != rows_.ranges.end()) out.ranges = at->second;
    return out;
  });
}

Result<std::vector<std::string>> FakeStore::blobs(std::span<const Hash> hashes) {
  Result<std::vector<std::string>> found = load("blobs", [&] {
    mutex_.assert_held();
    std::vector<std::string> out;
    for (const Hash& hash : hashes)
      if (const auto at = rows_.blobs.find(hash); at != rows_.blobs.end()) out.push_back(at->second);
    return out;
  });
  if (found.ok() && found->size() != hashes.size()) return fail(EIO, "a blob is missing");
  return found;
}

Result<LoadedContents> FakeStore::contents(std::span<const Ino> files, std::uint64_t max_bytes) {
  return load("contents", [&] {
    mutex_.assert_held();
    LoadedContents out{rows_.stamp, {}};
    std::uint64_t total = 0;
    for (Ino ino : files) {
      const auto at = rows_.chunks.find({ino, 0});
      if (at == rows_.chunks.end()) continue;
      const auto blob = rows_.blobs.find(at->second.blob);
      std::string data = blob == rows_.blobs.end() ? std::string() : blob->second;
      if (total + data.size() > max_bytes) break;
      total += data.size();
      out.files.push_back({ino, at->second, std::move(data)});
    }
    return out;
  });
}

Result<LoadedXattrs> FakeStore::xattrs(Ino ino) {
  return load("xattrs", [&] {
    mutex_.assert_held();
    LoadedXattrs out{rows_.stamp, {}};
    for (auto at = rows_.xattrs.lower_bound({ino, {}}); at != rows_.xattrs.end() && at->first.first == ino; ++at)
      out.xattrs.push_back({at->first.second, at->second});
    return out;
  });
}

Result<LoadedChanges> FakeStore::changes(Version after) {
  MutexLock lock(mutex_);
  ++calls_["changes"];
  SBOXFS_TRY(load_failures_.next());
  LoadedChanges out;
  out.current = rows_.stamp;
  out.epoch = rows_.epoch;
  out.destroyed = rows_.destroyed;
  for (const Change& change : rows_.changes) {
    if (change.stamp.version == after) out.base = change.stamp.batch;
    if (change.stamp.version > after && out.base) out.changes.push_back(change);
  }
  run_when_read("changes", lock);
  if (!wait(loads_held_, lock)) return fail(EINTR);
  return out;
}

}  // namespace sboxfs::test
