// Takes back what the kernel has cached, after memory has dropped it. Leaves from threads of its own, because a
// notification can wait for a request in the same directory or file (ports/kernel.hpp).
//
// Order: a dispatcher waits until the read-side sections that were open have ended (no reply from the old state can
// follow), then hands the items to workers. Everything of one inode goes out in order, one after the other; what hangs
// behind a request delays nothing but its own inode.
//
// A reply that was written before may still be on its way into the kernel's tables. Why it can not stay there:
// - names: look-ups of names that are not known, creations and listings hold their directory's lock from before they
//   ask until the answer is in the tables, and taking a name back waits for that lock. A name that is known is looked
//   up again without it: such a dentry is dropped, so that the answer changes a dentry nobody finds any more. Not a
//   directory's: it is told again, twice.
// - listings: told after a name of the directory, so after that lock; what is read later comes from the new state.
// - attributes: the kernel refuses answers that are older than an invalidation of the inode; but it can not refuse them
//   before it has the inode. If it says that it does not, although it was told of it, the answer may be on its way
//   under the directory's lock: that lock is waited for, and the inode told again (and once more, for other links).
// - pages: their reader has them locked until they are filled, and an invalidation waits for that.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/base/read_gate.hpp"
#include "sboxfs/coherence/dropped.hpp"
#include "sboxfs/ports/kernel.hpp"

namespace sboxfs {

/// Thread-safe.
class Notifier {
 public:
  /// `told_under(ino)`: the directory under which the kernel was told of the inode and has not forgotten it since (0:
  /// not known which); nothing: it was not told. May take State::mu.
  Notifier(ReadGate& replies, Kernel& kernel, std::function<std::optional<Ino>(Ino)> told_under)
      : replies_(replies), kernel_(kernel), told_under_(std::move(told_under)) {}
  ~Notifier();
  /// At first, or again after stop().
  void start();
  /// What was not sent yet is dropped (the mount is gone, or the kernel has nothing cached).
  void stop();

  /// Memory has dropped this. Returns at once, with a ticket for wait().
  std::uint64_t submit(Dropped dropped);
  /// The same for everything there was, and for what nobody remembers.
  std::uint64_t submit_all(Delta everything);
  /// Waits until the kernel knows of the submission (and all before it), at most `timeout_ns`. False: it does not yet.
  /// Never call it from a request that holds a directory or page lock (fuse: LOOKUP, CREATE, READ, WRITE, ...).
  bool wait(std::uint64_t ticket, std::int64_t timeout_ns);
  /// The newest ticket.
  std::uint64_t newest() const;

 private:
  struct Item {
    enum class Kind { name, listing, attr, data, all } kind = Kind::attr;
    Ino ino = 0;
    std::string name;
    NameWas was = NameWas::unknown;
    Range range;
    std::uint64_t ticket = 0;  ///< 0: told again, nobody waits for it
    unsigned repetitions = 0;  ///< how often it was told before
  };
  struct Job {
    Dropped dropped;
    bool all = false;
    std::uint64_t ticket = 0;
  };
  struct Later {
    std::int64_t due_ns = 0;  // monotonic
    Item item;
  };
  std::uint64_t push(Dropped dropped, bool all);
  void dispatch(const std::stop_token& stop);
  std::deque<Job> next_jobs(const std::stop_token& stop) EXCLUDES(mutex_);
  void take_due() REQUIRES(mutex_);
  void send(const std::stop_token& stop);
  void spread(const Job& job) REQUIRES(mutex_);
  void add(Item item) REQUIRES(mutex_);
  void done(std::uint64_t ticket) REQUIRES(mutex_);
  /// Returns what is to be told again later, if anything.
  std::deque<Later> deliver(const Item& item);
  std::deque<Later> deliver_attr(const Item& item);

  ReadGate& replies_;
  Kernel& kernel_;
  const std::function<std::optional<Ino>(Ino)> told_under_;
  mutable Mutex mutex_;
  CondVar changed_;  // for the dispatcher and who waits
  CondVar work_;     // for the workers
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  std::multimap<std::int64_t, Item> later_ GUARDED_BY(mutex_);          // by due time
  std::unordered_map<Ino, std::deque<Item>> items_ GUARDED_BY(mutex_);  // in order, of one inode
  std::deque<Ino> ready_ GUARDED_BY(mutex_);                            // inodes with items that nobody is sending
  std::map<std::uint64_t, std::size_t> under_way_ GUARDED_BY(mutex_);   // ticket → items not sent yet
  unsigned idle_ GUARDED_BY(mutex_) = 0;                                // workers that wait for work
  std::uint64_t next_ticket_ GUARDED_BY(mutex_) = 0;
  std::uint64_t dispatched_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::jthread dispatcher_;
  std::list<std::jthread> workers_ GUARDED_BY(mutex_);
};

}  // namespace sboxfs
