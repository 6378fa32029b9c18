// The parts of one session that coherence is about, over a FakeStore and a FakeRedis: state, committer, publisher,
// adoption, notifier and a FakeKernel. Nothing runs until a test starts it (the committer always does).
#pragma once

#include <dirent.h>
#include <sys/stat.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "eventually.hpp"
#include "fake_bus.hpp"
#include "fake_clock.hpp"
#include "fake_kernel.hpp"
#include "fake_store.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/coherence/fetcher.hpp"
#include "sboxfs/coherence/notifier.hpp"
#include "sboxfs/coherence/publisher.hpp"

namespace sboxfs::test {

struct FakePeer {
  FakePeer(FakeStore& fake_store, FakeRedis& redis, const Clock& clock, PublisherOptions publishing = {})
      : store(fake_store),
        state(fake_store.facts().value()),
        bus(redis),
        notifier(state.replies, kernel, {}),
        adoption(state, fake_store,
                 AdoptionEvents{[this](const Dropped& dropped) { notifier.submit(dropped); },
                                [this](const Delta& everything) {
                                  ++reloads;
                                  notifier.submit_all(everything);
                                },
                                [this](const std::vector<Ino>& open) { on_orphaned(open); }, [this] { ++destroyed; }}),
        fetcher(state, fake_store, adoption, cache),
        committer(state, fake_store, cache, clock, CommitterOptions{},
                  CommitEvents{[this](const Change& change, Version previous, std::int64_t sent_ns) {
                                 publisher.committed(change, previous);
                                 on_committed(sent_ns);
                               },
                               [this](CommitState, const std::vector<InFlight>&, const Delta&) { on_lost(); }}),
        publisher(committer, bus, fake_store, state, clock, self, publishing) {
    committer.start();
  }
  ~FakePeer() {
    bus.stop();
    committer.stop(true);
    publisher.stop();
    notifier.stop();
  }
  FakePeer(const FakePeer&) = delete;
  FakePeer& operator=(const FakePeer&) = delete;

  /// Takes the right to write from whoever has it.
  void may_write() {
    const Epoch epoch = store.take_epoch();
    must(adoption.check());
    const Ino first = store.reserve_inos(100);
    MutexLock lock(state.mu);
    state.epoch = epoch;
    state.next_ino = first;
    state.end_ino = first + 100;
    state.writable = true;
  }

  /// Makes a file in the root directory, in memory and journal.
  Ino create(const std::string& name) {
    load(kRootIno);
    MutexLock lock(state.mu);
    Inode& inode = state.tree.obtain(state.next_ino++);
    inode.attr.mode = S_IFREG | 0644;
    inode.attr.nlink = 1;
    inode.attr_valid = true;
    state.journal.touch(inode);
    Inode& root = *state.tree.find(kRootIno);
    const std::uint64_t cookie = state.tree.cookie(name);
    state.journal.touch_name(root, cookie, state.tree.set_name(root, cookie, name, inode.ino, DT_REG));
    state.work.notify_one();
    return inode.ino;
  }

  /// Changes an inode's attributes, in memory and journal.
  void touch(Ino ino) {
    load(ino);
    MutexLock lock(state.mu);
    Inode& inode = *state.tree.find_loaded(ino);
    ++inode.attr.mtime;
    state.journal.touch(inode);
    state.work.notify_one();
  }

  /// Changes the root directory; the commit of that hangs in the database until let_commits_go().
  void touch_and_hang() {
    store.hold_commits();
    touch(kRootIno);
    store.wait_for_held_commit();
  }

  /// Commits what was accepted; returns the version that is seen then.
  Version commit() {
    must(committer.sync());
    return seen().version;
  }

  Stamp seen() const {
    MutexLock lock(state.mu);
    return state.seen;
  }
  std::int64_t mtime(Ino ino) {
    load(ino);
    MutexLock lock(state.mu);
    return state.tree.find_loaded(ino)->attr.mtime;
  }
  bool in_memory(Ino ino) {
    MutexLock lock(state.mu);
    return state.tree.find_loaded(ino) != nullptr;
  }
  bool accepts() const {
    MutexLock lock(state.mu);
    return state.writable;
  }
  void load(Ino ino) {
    if (in_memory(ino)) return;
    Need need;
    need.kind = Need::Kind::inode;
    need.ino = ino;
    must(fetcher.fetch(need));
  }
  static void must(const Status& status) {
    if (!status.ok()) throw std::runtime_error(cat("errno ", status.code(), " ", status.error().what));
  }

  const SessionId self = Uuid::random();
  FakeStore& store;
  State state;
  ContentCache cache{1U << 20};
  FakeBus bus;
  FakeKernel kernel;
  Notifier notifier;
  Adoption adoption;
  Fetcher fetcher;
  Committer committer;
  Publisher publisher;
  std::atomic<int> reloads{0};
  std::atomic<int> destroyed{0};
  std::function<void(std::int64_t)> on_committed = [](std::int64_t) {};
  std::function<void()> on_lost = [] {};
  std::function<void(const std::vector<Ino>&)> on_orphaned = [](const std::vector<Ino>&) {};
};

}  // namespace sboxfs::test
