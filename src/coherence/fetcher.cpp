#include "sboxfs/coherence/fetcher.hpp"

#include <chrono>

#include "load_rule.hpp"
#include "sboxfs/base/blocking.hpp"

namespace sboxfs {

Result<bool> Fetcher::begin(const Key& key) {
  MutexLock lock(loading_mutex_);
  if (loading_.insert(key).second) return true;
  while (loading_.count(key) > 0) {
    if (BlockingSection::interrupted()) return fail(EINTR);
    loaded_.wait_for(lock, std::chrono::milliseconds(50));
  }
  return false;
}

void Fetcher::end(const Key& key) {
  MutexLock lock(loading_mutex_);
  loading_.erase(key);
  loaded_.notify_all();
}

Status Fetcher::fetch(const Need& need) {
  BlockingSection waiting;
  std::uint64_t where = need.kind == Need::Kind::chunks ? need.first : need.cookie;
  if (need.kind == Need::Kind::contents && !need.contents.empty()) where = need.contents.front().idx;
  const Key key{need.kind, need.ino, where};
  SBOXFS_ASSIGN(const bool mine, begin(key));
  if (!mine) return {};  // the caller looks again
  Status status = load(need);
  end(key);
  if (status.ok()) {
    MutexLock lock(state_.mu);
    if (state_.tree.bytes() > limits_.metadata_bytes) state_.tree.evict(limits_.metadata_bytes / 10 * 9);
  }
  return status;
}

Status Fetcher::load(const Need& need) {
  switch (need.kind) {
    case Need::Kind::nothing: return {};
    case Need::Kind::inode: return load_inode(need.ino);
    case Need::Kind::name: return load_name(need);
    case Need::Kind::listing: return load_listing(need.ino, need.cookie);
    case Need::Kind::chunks: return load_chunks(need);
    case Need::Kind::contents: return load_contents(need);
    case Need::Kind::xattrs: return load_xattrs(need.ino);
  }
  return fail(EINVAL);
}

Status Fetcher::load_inode(Ino ino) {
  bool exists = false;
  SBOXFS_TRY(load_by_rule([&] { return loader_.inode(ino); },
                          [&](Version version) {
                            state_.mu.assert_held();
                            return !state_.recent.changed_inode(version, ino);
                          },
                          [&](const LoadedInode& loaded) {
                            state_.mu.assert_held();
                            exists = loaded.inode.has_value();
                            if (exists) state_.tree.install(*loaded.inode);
                          }));
  if (!exists) return fail(ESTALE, "the inode is gone");
  return {};
}

Status Fetcher::load_xattrs(Ino ino) {
  return load_by_rule([&] { return loader_.xattrs(ino); },
                      [&](Version version) {
                        state_.mu.assert_held();
                        return !state_.recent.changed_inode(version, ino);
                      },
                      [&](const LoadedXattrs& loaded) {
                        state_.mu.assert_held();
                        state_.tree.install(ino, loaded);
                      });
}

}  // namespace sboxfs
