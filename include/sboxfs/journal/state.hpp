// A session's in-memory state behind its one lock.
//
// Why one lock: operations are microseconds of memory work, the journal's order must be the order in which they
// happened, and a cut must be consistent. Never held across I/O. Lock order: State::mu, then the content cache's.
#pragma once

#include <atomic>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/base/read_gate.hpp"
#include "sboxfs/journal/journal.hpp"
#include "sboxfs/journal/recent.hpp"
#include "sboxfs/ports/loader.hpp"
#include "sboxfs/tree/tree.hpp"

namespace sboxfs {

struct State {
  explicit State(const SandboxFacts& facts) : tree(facts.name_key), seen(facts.stamp), usage(facts.usage) {}

  mutable Mutex mu;
  Tree tree GUARDED_BY(mu);
  Journal journal GUARDED_BY(mu);
  Recent recent GUARDED_BY(mu);

  /// The version and batch whose contents memory equals (journalled changes on top). Moved by own commits and by
  /// deltas.
  Stamp seen GUARDED_BY(mu);
  /// Inodes that deltas have removed since the heartbeat last told what this session has seen: their rows are there
  /// until the next time, so whoever was given the number a moment ago can still open it.
  std::unordered_set<Ino> lately_removed GUARDED_BY(mu);
  /// The batch in flight, if any: a change row with this id is our own.
  BatchId flying GUARDED_BY(mu);

  /// The session holds the lease and accepts changes. Set and cleared by lease/.
  bool writable GUARDED_BY(mu) = false;
  Epoch epoch GUARDED_BY(mu) = 0;
  /// Unused inode numbers of this lease: [next_ino, end_ino).
  Ino next_ino GUARDED_BY(mu) = 0;
  Ino end_ino GUARDED_BY(mu) = 0;
  /// Added to the local wall clock to get the database's.
  std::int64_t clock_offset_ns GUARDED_BY(mu) = 0;

  /// Quota, and what is used, with accepted changes counted already.
  Usage usage GUARDED_BY(mu);
  /// What open files without a name take, as far as this session removed the names: not in `usage`, but the quota
  /// binds them as well.
  Usage held GUARDED_BY(mu);
  /// Of an open inode without a name: it takes so many more (or fewer) blocks in `held`.
  void hold(Inode& inode, std::int64_t blocks) REQUIRES(mu);
  /// It is closed, gets a name, or its removal was lost: it takes nothing there any more.
  void let_go(Inode& inode) REQUIRES(mu);
  /// Inodes with handles opened for writing: their mapped pages are written back before the lease goes.
  std::unordered_set<Ino> open_for_writing GUARDED_BY(mu);

  /// +1 whenever memory dropped something because of others: a reply computed under an older generation must not be
  /// cached by the kernel. Written under mu, read anywhere.
  std::atomic<std::uint64_t> generation{0};
  /// The kernel may cache replies (the watcher is healthy). Written by coherence/.
  std::atomic<bool> cacheable{false};
  /// Sticky: the sandbox was destroyed; every request answers ESTALE.
  std::atomic<bool> destroyed{false};
  /// Neither Postgres nor Redis has confirmed the state for too long (-o strict answers EIO then).
  std::atomic<bool> stale{false};
  /// How often uncommitted changes were lost: handles that wrote before answer EIO on fsync and close.
  std::atomic<std::uint64_t> losses{0};

  struct Loss {
    std::uint64_t number = 0;
    bool told = false;  ///< some call has answered EIO for it
  };
  /// Which of them last hit an inode (its attributes, contents or, of a directory, names).
  std::unordered_map<Ino, Loss> lost GUARDED_BY(mu);

  /// Between computing a cacheable reply and sending it.
  ReadGate replies;

  /// Woken when a batch was settled or the journal was reset.
  CondVar committed;
  /// Woken when there is something to commit (or somebody waits for it).
  CondVar work;
};

}  // namespace sboxfs
