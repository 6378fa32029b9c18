// The loop every operation runs in, and the small steps they share.
#pragma once

#include <string_view>
#include <utility>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/vfs/vfs.hpp"

namespace sboxfs {

/// Gives one operation its view of the session. Used on the stack of one thread.
class Operation {
 public:
  explicit Operation(Vfs& vfs)
      : state(vfs.state_),
        fetcher(vfs.fetcher_),
        cache(vfs.cache_),
        committer(vfs.committer_),
        access(vfs.access_),
        clock(vfs.clock_),
        options(vfs.options_),
        locks(vfs.locks),
        vfs_(vfs) {}

  State& state;
  Fetcher& fetcher;
  ContentCache& cache;
  Committer& committer;
  WriteAccess& access;
  const Clock& clock;
  const VfsOptions& options;
  Locks* const locks;
  /// Set by an attempt that found something missing; the attempt then returns missing().
  Need need;

  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// Runs `attempt` (under State::mu, returning a Result) until it needs nothing more. It must change nothing.
  template <class Attempt>
  auto reading(Attempt attempt) -> decltype(attempt()) {
    for (;;) {
      {
        MutexLock lock(state.mu);
        SBOXFS_TRY(usable());
        need = {};
        wants_ = nullptr;
        now_ = 0;
        auto result = attempt();
        if (need.nothing() && wants_ == nullptr) return result;
      }
      if (wants_ != nullptr) {
        known_ = vfs_.credentials(*wants_);
      } else {
        SBOXFS_TRY(fetcher.fetch(need));
      }
    }
  }

  /// The same for a changing operation: `attempt` runs with the lease held and room in the journal, and must find
  /// everything it needs before its first change. Under `sync` returns after the commit; when the commit fails, the
  /// caller gets an error instead of the result, and `give_back` takes back (under State::mu) what the result counts.
  template <class Attempt, class GiveBack>
  auto changing(Attempt attempt, GiveBack give_back) -> decltype(attempt()) {
    if (options.read_only) return fail(EROFS);
    for (;;) {
      SBOXFS_TRY(committer.wait_room());
      bool writable = false;
      {
        MutexLock lock(state.mu);
        SBOXFS_TRY(usable());
        writable = state.writable;
        if (writable) {
          need = {};
          out_of_inos_ = false;
          wants_ = nullptr;
          now_ = 0;
          auto result = attempt();
          if (need.nothing() && !out_of_inos_ && wants_ == nullptr) {
            const std::uint64_t batch = state.journal.newest();
            state.work.notify_one();
            if (options.durability != Durability::sync || !result.ok()) return result;
            lock.unlock();
            const Status committed = committer.wait_committed(batch);
            if (committed.ok()) return result;
            lock.lock();
            give_back(result);
            return Error(committed.error());
          }
        }
      }
      if (!writable) {
        SBOXFS_TRY(access.acquire());
      } else if (out_of_inos_) {
        SBOXFS_TRY(access.more_inos());
      } else if (wants_ != nullptr) {
        known_ = vfs_.credentials(*wants_);
      } else {
        SBOXFS_TRY(fetcher.fetch(need));
      }
    }
  }

  template <class Attempt>
  auto changing(Attempt attempt) -> decltype(attempt()) {
    return changing(attempt, [](const auto&) {});
  }

  // The rest runs under State::mu.

  Status usable() const {
    if (state.destroyed.load(std::memory_order_relaxed)) return fail(ESTALE);
    if (options.strict && state.stale.load(std::memory_order_relaxed)) return fail(EIO);
    return {};
  }

  /// EIO once the locks on the file were taken away while it was open here.
  Status locks_kept(const Handle& handle) const {
    if (locks != nullptr && locks->lost(handle.ino, handle.lock_losses)) return fail(EIO, "the file's locks were lost");
    return {};
  }

  /// What an attempt returns after it set `need`.
  static Error missing() { return Error{EAGAIN, {}}; }

  /// The inode with valid attributes; null with `need` set when it must be loaded first.
  Inode* inode(Ino ino) REQUIRES(state.mu);
  /// The name in a directory inode() returned; State::unknown with `need` set.
  Tree::Name name(Inode& dir, std::string_view name, std::uint64_t cookie) REQUIRES(state.mu);
  /// Makes sure that the inode's xattrs are loaded (or known to be none); false with `need` set.
  bool xattrs(Inode& inode) REQUIRES(state.mu);

  /// Whether the directory has a living name, in `any`; false with `need` set when that is not known yet.
  bool any_name(Inode& dir, bool& any) REQUIRES(state.mu);

  /// The database's time, for stamping files, in ns. One attempt has one time: all that an operation stamps is equal.
  std::int64_t now() REQUIRES(state.mu) {
    if (now_ == 0) now_ = clock.wall_ns() + state.clock_offset_ns;
    return now_;
  }
  /// An answer about this inode, with -o uid=/gid= applied; the second also counts the kernel's lookup.
  Found found(const Inode& inode) const REQUIRES(state.mu);
  Found looked_up(Inode& inode) REQUIRES(state.mu);
  /// The next inode number; 0 when the lease's range is used up: the attempt returns missing() and is tried again.
  Ino new_ino() REQUIRES(state.mu);

  /// What /proc says about the caller; null: not asked yet, the attempt returns missing() and is tried again. `who`
  /// must outlive the operation.
  const Credentials* credentials(const Caller& who);

  /// EDQUOT when the sandbox's quota has no room for so many more 4 KiB blocks and inodes; open files without a name
  /// take room too.
  Status room_for(std::int64_t blocks, std::int64_t inodes) const REQUIRES(state.mu);
  /// Counts usage (of linked inodes) in memory and for the next commit.
  void charge(std::int64_t blocks, std::int64_t inodes) REQUIRES(state.mu);
  /// The inode has so many more (or fewer) blocks; charged while it is linked, held while it is not.
  void add_blocks(Inode& inode, std::int64_t blocks) REQUIRES(state.mu);

 private:
  Vfs& vfs_;
  bool out_of_inos_ = false;
  std::int64_t now_ = 0;  // of this attempt; 0: not asked for yet
  const Caller* wants_ = nullptr;
  std::optional<Credentials> known_;
};

/// ENAMETOOLONG above 255 bytes; EINVAL for "", ".", ".." and a name with a slash (the kernel sends none of them).
Status check_name(std::string_view name);

}  // namespace sboxfs
