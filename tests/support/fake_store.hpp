// A sandbox in memory: the truth behind Loader and Sink, for tests without Postgres.
//
// Faithful where tests look: a batch is applied to rows (maps) as one step, fenced by epoch and base; versions, stamps
// and change rows are kept; a load returns rows and stamp of one moment, even if its answer is held back for long.
// What it can be asked to do:
//   store.hold_loads() ... store.wait_for_held_load() ... store.let_loads_go()     answers are read, then held back
//   store.hold_commits(), wait_for_held_commit(), let_commits_go()                 commits wait before they are applied
//   store.fail_loads(EIO, 2)                                                       the next two loads fail
//   store.when_read("facts", [&] { ... })          runs once, between the reading of rows and the answer
//   store.plan_commit({applied, answer})                                           the next commit's fate
//   store.problems()                                                               fsck of the rows: empty when sound
//   store.loads("xattrs")                                                          how often a function was called
// Several sessions may use one FakeStore (fake_session.hpp). Thread-safe. Held calls end with EINTR when interrupted.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/ports/loader.hpp"
#include "sboxfs/ports/sink.hpp"

namespace sboxfs::test {

class FakeStore final : public Loader, public Sink {
 public:
  /// A new sandbox: version 1, a root directory (0755, owner 0:0, times `born_ns`), quota as given (0: none).
  explicit FakeStore(std::uint64_t quota_blocks = 0, std::uint64_t quota_inodes = 0, std::int64_t born_ns = 1000);

  /// Everything a sandbox is, as rows.
  struct Rows {
    Stamp stamp;
    Epoch epoch = 0;
    Version published_version = 0;
    bool destroyed = false;
    NameKey name_key{};
    Usage usage;
    Ino next_ino = 2;
    std::map<Ino, InodeRecord> inodes;
    std::map<std::tuple<Ino, std::uint64_t, std::string>, Dirent> dirents;
    std::map<std::pair<Ino, std::uint32_t>, Chunk> chunks;
    std::map<Ino, std::vector<Range>> ranges;
    std::map<std::pair<Ino, std::string>, std::string> xattrs;
    std::map<Hash, std::string> blobs;
    std::vector<Change> changes;
    std::set<Ino> orphans;
    std::set<Ino> pins;
  };
  Rows rows() const EXCLUDES(mutex_);
  /// Changes rows behind the sessions' backs (a restored database, a damaged row).
  template <class Change>
  void edit(Change change) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    change(rows_);
  }
  /// What does not fit together: link counts, parents, usage, block counts, flags, cookies, missing blobs.
  std::vector<std::string> problems() const EXCLUDES(mutex_);

  // The lease, as far as a commit looks at it.
  /// Takes it for somebody else: epoch + 1. Commits under the old epoch are fenced from now on.
  Epoch take_epoch() EXCLUDES(mutex_);
  /// Hands out `count` inode numbers; returns the first.
  Ino reserve_inos(std::uint64_t count) EXCLUDES(mutex_);
  void destroy() EXCLUDES(mutex_);
  /// Sessions alive: with more than one, a removed inode's rows stay as an orphan's.
  void session_opened() EXCLUDES(mutex_);
  void session_closed() EXCLUDES(mutex_);

  // Stalls and failures.
  void hold_loads() EXCLUDES(mutex_);
  void wait_for_held_load() EXCLUDES(mutex_);
  void let_loads_go() EXCLUDES(mutex_);
  void hold_commits() EXCLUDES(mutex_);
  void wait_for_held_commit() EXCLUDES(mutex_);
  void let_commits_go() EXCLUDES(mutex_);
  void when_read(const std::string& what, std::function<void()> then) EXCLUDES(mutex_);
  void fail_loads(int code, unsigned times = 1) EXCLUDES(mutex_);
  void fail_uploads(int code, unsigned times = 1) EXCLUDES(mutex_);
  struct CommitPlan {
    bool applied = true;
    CommitState answer = CommitState::committed;
  };
  void plan_commit(CommitPlan plan) EXCLUDES(mutex_);

  /// What commits say of other sessions: whether none is alive.
  void set_alone(bool alone) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    alone_ = alone;
  }

  /// Calls so far: "inode", "name", "directory", "directories", "chunks", "blobs", "contents", "xattrs", "changes",
  /// "facts", "upload", "commit", "look_up".
  std::size_t loads(const std::string& what) const EXCLUDES(mutex_);
  /// The batches that were committed, oldest first.
  std::vector<Batch> batches() const EXCLUDES(mutex_);

  // Loader
  Result<SandboxFacts> facts() override;
  Result<LoadedInode> inode(Ino ino) override;
  Result<LoadedName> name(Ino parent, std::uint64_t cookie) override;
  Result<LoadedDir> directory(Ino dir, std::uint64_t from, std::uint32_t limit) override;
  Result<LoadedTree> directories(std::span<const Ino> dirs, std::uint32_t dir_limit, std::uint32_t limit) override;
  Result<LoadedChunks> chunks(Ino ino, std::uint32_t first, std::uint32_t limit) override;
  Result<std::vector<std::string>> blobs(std::span<const Hash> hashes) override;
  Result<LoadedContents> contents(std::span<const Ino> files, std::uint64_t max_bytes) override;
  Result<LoadedXattrs> xattrs(Ino ino) override;
  Result<LoadedChanges> changes(Version after) override;

  // Sink
  Status upload(std::span<const BlobPut> blobs) override;
  CommitOutcome commit(const Batch& batch, const CommitTerms& terms) override;
  CommitOutcome look_up(const BatchId& batch, const CommitTerms& terms) override;
  Status published(Version version) override;

 private:
  struct Hold {
    bool on = false;
    unsigned waiting = 0;
  };
  struct Failures {
    int code = 0;
    unsigned times = 0;
    Status next();
  };
  /// Counts the call, reads under the lock, then waits while loads are held.
  template <class Read>
  auto load(const char* what, Read read) -> Result<decltype(read())>;
  /// False: interrupted.
  bool wait(Hold& hold, MutexLock& lock) REQUIRES(mutex_);
  void run_when_read(const std::string& what, MutexLock& lock) REQUIRES(mutex_);
  void let_go(Hold FakeStore::*hold) EXCLUDES(mutex_);
  void wait_for_held(Hold FakeStore::*hold) EXCLUDES(mutex_);
  LoadedDir list(Ino dir, std::uint64_t from, std::uint32_t limit) const REQUIRES(mutex_);
  void apply(const Batch& batch, Version version) REQUIRES(mutex_);
  void apply_data(const Batch& batch, Version version) REQUIRES(mutex_);
  void erase_inode(Ino ino) REQUIRES(mutex_);
  CommitState permitted(const CommitTerms& terms) const REQUIRES(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  Rows rows_ GUARDED_BY(mutex_);
  unsigned sessions_ GUARDED_BY(mutex_) = 0;
  bool alone_ GUARDED_BY(mutex_) = false;
  Hold loads_held_ GUARDED_BY(mutex_);
  Hold commits_held_ GUARDED_BY(mutex_);
  std::map<std::string, std::function<void()>> when_read_ GUARDED_BY(mutex_);
  Failures load_failures_ GUARDED_BY(mutex_);
  Failures upload_failures_ GUARDED_BY(mutex_);
  std::deque<CommitPlan> plans_ GUARDED_BY(mutex_);
  std::map<std::string, std::size_t> calls_ GUARDED_BY(mutex_);
  std::vector<Batch> batches_ GUARDED_BY(mutex_);
};

}  // namespace sboxfs::test
