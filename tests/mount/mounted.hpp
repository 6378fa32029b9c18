// A session over a FakeStore on a real mount, without Postgres and Redis: what a Session wires, as far as the kernel
// sees it. The test's process answers the requests, so the requests come from shells of their own: a thread of this
// process that hangs in the mount could not be killed.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "fake_bus.hpp"
#include "fake_lock_store.hpp"
#include "fake_store.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/coherence/notifier.hpp"
#include "sboxfs/fuse/server.hpp"
#include "sboxfs/vfs/vfs.hpp"
#include "temp_dir.hpp"

namespace sboxfs::test {

/// Takes the lease of the fake store for whoever asks last: the other sessions must have given theirs up.
class LastComes final : public WriteAccess {
 public:
  LastComes(FakeStore& store, State& state, Adoption& adoption) : store_(store), state_(state), adoption_(adoption) {}
  Status acquire() override;
  Status more_inos() override;

 private:
  FakeStore& store_;
  State& state_;
  Adoption& adoption_;
};

class Mounted {
 public:
  /// Mounts on a directory of its own and serves; throws with the reason where this host can not mount.
  explicit Mounted(FakeStore& fake_store, FuseOptions options = {}, FetcherLimits limits = {});
  /// The same with locks that other sessions share.
  Mounted(FakeStore& fake_store, FakeLockRows& lock_rows, FakeRedis& redis, FuseOptions options = {},
          FetcherLimits limits = {});
  /// Unmounts, whatever hangs.
  ~Mounted();
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

  const std::string& path() const { return directory_.path(); }
  /// serve() has returned.
  bool ended() const { return ended_; }
  /// Commits everything accepted, and gives the lease up.
  void give_up_lease();
  /// Adopts what the store has and waits until the kernel knows.
  void adopt();
  /// Nothing is cacheable until it is switched on again, and the kernel forgets what it has.
  void set_cacheable(bool on);
  std::uint64_t requests(const std::string& kind) const;
  /// All requests so far.
  std::uint64_t requests() const;

  FakeStore& store;
  State state;
  ContentCache cache{64U << 20};
  SystemClock clock;
  std::unique_ptr<FuseServer> server;
  std::optional<Notifier> notifier;
  std::optional<Adoption> adoption;
  std::optional<Fetcher> fetcher;
  std::optional<Committer> committer;
  std::optional<LastComes> access;
  std::optional<Vfs> vfs;
  const SessionId self = Uuid::random();

 private:
  /// For a mount that shares its locks with nobody.
  FakeLockRows own_rows_;
  FakeRedis own_redis_;

 public:
  FakeBus bus;
  FakeLockStore lock_store;
  std::optional<Locks> locks;

 private:
  TempDir directory_;
  std::atomic<bool> ended_{false};
  std::thread serving_;
};

/// A shell with a script, in its own process group. Its output is kept.
class Shell {
 public:
  explicit Shell(const std::string& script);
  /// Kills what is left of it.
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  /// Whether it has ended by now (output is complete then).
  bool ended();
  /// Whether it ends within ten seconds.
  bool ends();
  void signal(int number) const;
  /// As waitpid(2) says.
  int status() const { return status_; }
  const std::string& output() const { return output_; }

 private:
  void read_what_is_there();
  pid_t pid_ = -1;
  int out_ = -1;
  bool done_ = false;
  int status_ = 0;
  std::string output_;
};

/// What a script prints (both streams) and "[exit N]" where it fails; "[hangs]" after ten seconds.
std::string sh(const std::string& script);

}  // namespace sboxfs::test
