// Everything a session is made of. The order of the members is the order of construction; destruction goes backwards.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <optional>
#include <thread>

#include "eviction.hpp"
#include "exec_locks.hpp"
#include "housekeeper.hpp"
#include "idle.hpp"
#include "life_lock.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/coherence/heartbeat.hpp"
#include "sboxfs/coherence/notifier.hpp"
#include "sboxfs/coherence/publisher.hpp"
#include "sboxfs/coherence/refresh.hpp"
#include "sboxfs/coherence/watcher.hpp"
#include "sboxfs/fuse/server.hpp"
#include "sboxfs/lease/lease.hpp"
#include "sboxfs/locks/locks.hpp"
#include "sboxfs/pg/pool.hpp"
#include "sboxfs/redis/bus.hpp"
#include "sboxfs/session/session.hpp"
#include "sboxfs/store/pg_lease_store.hpp"
#include "sboxfs/store/pg_loader.hpp"
#include "sboxfs/store/pg_lock_store.hpp"
#include "sboxfs/store/pg_sink.hpp"

namespace sboxfs {

/// This host's name, as other hosts see it in `info`.
std::string host_name();

struct Session::Parts {
  Parts(const SessionOptions& session_options, std::unique_ptr<PgPool> readers, std::unique_ptr<PgPool> writers,
        RedisOptions redis, SessionId session, LifeLock life_lock);
  ~Parts();

  /// State, mount and everything above it, once the sandbox's facts are known.
  Status assemble(const SandboxFacts& facts);

  /// What the bus brings, sorted to whom it concerns.
  void on_news(const News& news);
  /// The session's locks, with what they need of the other parts.
  void assemble_locks();
  void on_lost(CommitState why, const std::vector<InFlight>& lost, const Delta& dropped);
  /// EIO when changes were lost that no call has told of yet; whoever asks tells of them.
  Status none_lost();
  /// Runs jobs that must not run where they come up (a bus handler, a request): answering a refresh, detaching.
  void attend(const std::stop_token& stop);
  void start();
  void stop();
  /// The threads that an idle session does without. Not the notifier's: one of them may wait behind a request that
  /// waits for the end of the eviction.
  void start_working();
  void stop_working();
  void disconnect();
  void on_destroyed();
  void assemble_idle();

  const SessionOptions options;
  const SystemClock clock;
  const SessionId self;
  LifeLock life;
  std::unique_ptr<PgPool> read_pool;
  std::unique_ptr<PgPool> write_pool;  // commits and the lease never wait behind reads
  PgLoader loader;
  PgSink sink;
  PgLeaseStore lease_store;
  PgLockStore lock_store;
  RedisBus bus;
  ContentCache cache;
  std::optional<State> state;
  std::unique_ptr<FuseServer> fuse;
  std::optional<Notifier> notifier;
  std::optional<Adoption> adoption;
  std::optional<Fetcher> fetcher;
  std::optional<Committer> committer;
  std::optional<Publisher> publisher;
  std::optional<Lease> lease;
  std::optional<Watcher> watcher;
  std::optional<Refresh> refresh;
  std::optional<Locks> locks;
  std::optional<ExecLocks> exec_locks;
  std::optional<Heartbeat> heartbeat;
  std::optional<TenantHousework> housework;
  std::optional<Housekeeper> housekeeper;
  std::optional<Vfs> vfs;
  std::optional<Eviction> eviction;
  std::optional<Idle> idle;  // only with an idle time-out
  IdleUse idle_use;

  Mutex jobs_mutex;
  CondVar jobs_changed;
  std::deque<std::function<void()>> jobs GUARDED_BY(jobs_mutex);
  std::vector<News> askers GUARDED_BY(jobs_mutex);  // one sync answers all who ask before it begins
  std::jthread attendant;
  void later(std::function<void()> job);
  /// Before what is waiting already.
  void soon(std::function<void()> job);
  void answer_askers();
};

}  // namespace sboxfs
