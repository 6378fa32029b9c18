// Takes back what the kernel has cached, after memory has dropped it. Leaves from threads of its own, because a
// notification can wait for a request in the same directory or file (ports/kernel.hpp).
//
// Order: a dispatcher waits until the read-side sections that were open have ended (no reply from the old state can
// follow), then hands the items to workers; everything of one inode goes to the same worker.
//
// A reply that has been written may not have been installed yet by the thread that asked: a notification in between
// finds no inode, or is overwritten by the reply's long time-out (the kernel protects neither a dentry's revalidation
// nor an inode's first appearance). So names, listings and attributes are notified again a little later, twice.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/base/read_gate.hpp"
#include "sboxfs/model/delta.hpp"
#include "sboxfs/ports/kernel.hpp"

namespace sboxfs {

/// Thread-safe.
class Notifier {
 public:
  Notifier(ReadGate& replies, Kernel& kernel) : replies_(replies), kernel_(kernel) {}
  ~Notifier();
  /// At first, or again after stop().
  void start();
  /// What was not sent yet is dropped (the mount is gone, or the kernel has nothing cached).
  void stop();

  /// Memory has dropped this. Returns at once, with a ticket for wait().
  std::uint64_t submit(Delta delta);
  /// The same for everything there was, and for what nobody remembers.
  std::uint64_t submit_all(Delta everything);
  /// Waits until the kernel knows of the submission (and all before it), at most `timeout_ns`. False: it does not yet.
  /// Never call it from a request that holds a directory or page lock (fuse: LOOKUP, CREATE, READ, WRITE, ...).
  bool wait(std::uint64_t ticket, std::int64_t timeout_ns);
  /// The newest ticket.
  std::uint64_t newest() const;

 private:
  static constexpr std::size_t kWorkers = 4;
  struct Job {
    Delta delta;
    bool all = false;
    std::uint64_t ticket = 0;  ///< 0: a repetition, which nobody waits for
    std::int64_t due_ns = 0;   ///< of a repetition (monotonic)
    unsigned repetitions = 0;  ///< how many follow
  };
  struct Item {
    enum class Kind { name, listing, attr, data, all } kind = Kind::attr;
    Ino ino = 0;
    std::string name;
    Range range;
  };
  std::uint64_t push(Delta delta, bool all);
  /// The next job that may go, in `job`; false when the thread shall end.
  bool next(std::stop_token stop, Job& job);
  void repeat_later(Job job) REQUIRES(mutex_);
  void dispatch(std::stop_token stop);
  void send(std::stop_token stop, std::size_t worker);
  void spread(const Job& job) REQUIRES(mutex_);
  void add(Item item) REQUIRES(mutex_);
  void deliver(const Item& item);

  ReadGate& replies_;
  Kernel& kernel_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  std::deque<Job> soon_ GUARDED_BY(mutex_);   // first repetitions, by due time
  std::deque<Job> later_ GUARDED_BY(mutex_);  // second repetitions, by due time
  std::array<std::deque<Item>, kWorkers> items_ GUARDED_BY(mutex_);
  std::size_t under_way_ GUARDED_BY(mutex_) = 0;  // items in the queues or being sent
  std::uint64_t next_ticket_ GUARDED_BY(mutex_) = 0;
  std::uint64_t done_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::jthread dispatcher_;
  std::array<std::jthread, kWorkers> workers_;
};

}  // namespace sboxfs
