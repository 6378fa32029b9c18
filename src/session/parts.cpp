#include "parts.hpp"

#include <unistd.h>

#include "sboxfs/base/log.hpp"
#include "sboxfs/session/lost.hpp"

namespace sboxfs {
std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown";
  return name;
}

Session::Parts::Parts(const SessionOptions& session_options, std::unique_ptr<PgPool> readers,
                      std::unique_ptr<PgPool> writers, RedisOptions redis, SessionId session, LifeLock life_lock)
    : options(session_options),
      self(session),
      life(std::move(life_lock)),
      read_pool(std::move(readers)),
      write_pool(std::move(writers)),
      loader(StoreContext{read_pool.get(), options.tenant, options.sandbox, self}),
      sink(StoreContext{write_pool.get(), options.tenant, options.sandbox, self}),
      lease_store(StoreContext{write_pool.get(), options.tenant, options.sandbox, self}),
      lock_store(StoreContext{write_pool.get(), options.tenant, options.sandbox, self}),
      bus(std::move(redis), options.tenant, options.sandbox),
      cache(options.content_cache_bytes) {}

Session::Parts::~Parts() { stop(); }

Status Session::Parts::assemble(const SandboxFacts& facts) {
  state.emplace(facts);
  FuseOptions mount;
  mount.mount_point = options.mount_point;
  mount.name = options.name;
  mount.allow_other = options.allow_other;
  mount.dev = options.dev;
  mount.suid = options.suid;
  mount.noexec = options.noexec;
  mount.read_only = options.vfs.read_only;
  mount.local_lock = options.local_lock;
  SBOXFS_ASSIGN(fuse, FuseServer::mount(mount, *state));
  notifier.emplace(state->replies, *fuse, [this](Ino ino) -> std::optional<Ino> {
    MutexLock lock(state->mu);
    if (state->tree.lookups(ino) == 0) return std::nullopt;
    const Inode* inode = state->tree.peek(ino);
    return inode == nullptr ? 0 : inode->parent;
  });
  fuse->on_end_differs = [this](Ino ino) {
    Delta delta;
    // The kernel has put the pages where it thought the end was.
    delta.inodes.push_back({ino, kChangedAttr | kChangedData, {Range{0, kMaxFileSize}}});
    notifier->submit(std::move(delta));
  };
  AdoptionEvents events;
  events.dropped = [this](const Dropped& dropped) { notifier->submit(dropped); };
  events.dropped_all = [this](const Delta& everything) { notifier->submit_all(everything); };
  events.orphaned = [this](const std::vector<Ino>&) { heartbeat->beat_now(); };
  events.destroyed = [this] {
    log::warn("destroyed: the sandbox is gone, unmounting");
    on_destroyed();
  };
  adoption.emplace(*state, loader, std::move(events));
  FetcherLimits limits;
  limits.metadata_bytes = options.metadata_cache_bytes;
  fetcher.emplace(*state, loader, *adoption, cache, limits);
  CommitterOptions commit_options;
  commit_options.journal_bytes = options.journal_bytes;
  commit_options.journal_ops = options.journal_ops;
  commit_options.lease_ns = options.lease_ns;
  commit_options.stall_ns = options.io_timeout_ns;
  CommitEvents commit_events;
  commit_events.committed = [this](const Change& change, Version previous, std::int64_t sent_ns) {
    lease->on_committed(sent_ns);
    publisher->committed(change, previous);
  };
  commit_events.lost = [this](CommitState why, const std::vector<InFlight>& lost, const Delta& dropped) {
    on_lost(why, lost, dropped);
  };
  committer.emplace(*state, sink, cache, clock, commit_options, std::move(commit_events));
  PublisherOptions publish_options;
  publish_options.drain_interval_ns = options.drain_interval_ns;
  publisher.emplace(*committer, bus, sink, *state, clock, self, publish_options);
  LeaseOptions lease_options;
  lease_options.lease_ns = options.lease_ns;
  lease_options.read_only = options.vfs.read_only;
  LeaseHooks lease_hooks;
  const auto is_dead = [this](const SessionId& holder) { return LifeLock::is_dead(options.home, holder); };
  lease_hooks.holder_is_dead = is_dead;
  lease_hooks.write_back = [this] { fuse->write_back(); };
  // Taking the lease comes first: whoever takes the locks away takes it away, too.
  lease_hooks.may_write = [this]() -> Status {
    SBOXFS_TRY(locks->confirm());
    return exec_locks->may_write();
  };
  lease.emplace(*state, *committer, lease_store, bus, *adoption, clock, self, lease_options, std::move(lease_hooks));
  WatcherOptions watch_options;
  watch_options.audit_ns = options.audit_interval_ns;
  WatcherHooks watch_hooks;
  watch_hooks.key_differs = [this](std::optional<Version> key, const Stamp& truth) {
    if (key && *key > truth.version) {
      if (!bus.lower(*key, truth.version).ok()) log::debug("audit: Redis is away");
    } else {
      publisher->committed(Change{truth, 0, {}, {}}, 0);
    }
  };
  watch_hooks.unhealthy = [this] {
    MutexLock lock(state->mu);
    notifier->submit_all(state->tree.everything());
  };
  watcher.emplace(*state, *adoption, bus, clock, watch_options, std::move(watch_hooks));
  RefreshOptions refresh_options;
  refresh_options.writer_is_dead = is_dead;
  refresh.emplace(*state, *adoption, lease_store, bus, *notifier, clock, self, refresh_options,
                  [this] { return lease->acquire(); });
  heartbeat.emplace(*state, lease_store, HeartbeatOptions{host_name(), options.mount_point});
  housework.emplace(*write_pool, bus.keys(), options.tenant);
  housekeeper.emplace(*housework, options.drain_interval_ns);
  vfs.emplace(*state, *fetcher, cache, *committer, *lease, clock, options.vfs);
  assemble_locks();
  if (!options.local_lock) vfs->locks = &*locks;
  vfs->refresh = [this] { return refresh->run(); };
  vfs->wait_published = [this] {
    Version version = 0;
    {
      MutexLock lock(state->mu);
      version = state->seen.version;
    }
    publisher->wait_published(version, 100 * kMillisecondNs);
  };
  assemble_idle();
  return {};
}

void Session::Parts::assemble_idle() {
  EvictionOptions going;
  going.host = host_name();
  going.mount_point = options.mount_point;
  going.drain_timeout_ns = options.drain_timeout_ns;
  EvictionHooks hooks;
  hooks.start = [this] { start_working(); };
  hooks.stop = [this] { stop_working(); };
  hooks.disconnect = [this] { disconnect(); };
  hooks.destroyed = [this] { on_destroyed(); };
  eviction.emplace(*state, loader, lease_store, *lease, *publisher, *notifier, cache, std::move(going),
                   std::move(hooks));
  if (options.idle_timeout_ns <= 0) return;
  IdleActions actions;
  actions.unused = [this] { return !(idle_use.held && idle_use.held()) && eviction->unused(); };
  actions.take_back = [this] { eviction->take_back(); };
  actions.settle = [this](const std::function<bool()>& go_on) { return eviction->settle(go_on); };
  actions.evict = [this] {
    eviction->evict();
    fuse->trim();
  };
  actions.revive = [this] { return eviction->revive(); };
  if (options.idle_unmount) actions.unmount = [this] { return idle_use.unmount && idle_use.unmount(); };
  idle.emplace(clock, options.idle_timeout_ns, std::move(actions));
  fuse->admission = &*idle;
}

void Session::Parts::on_destroyed() {
  soon([this] { fuse->stop(); });
}

void Session::Parts::disconnect() {
  bus.keys().disconnect();
  read_pool->close_idle();
  write_pool->close_idle();
}

void Session::Parts::assemble_locks() {
  LockOptions lock_options;
  lock_options.lease_ns = options.lease_ns;
  lock_options.io_timeout_ns = options.io_timeout_ns;
  LockHooks hooks;
  hooks.dirty = [this] {
    MutexLock lock(state->mu);
    return !state->journal.empty() || state->journal.in_flight();
  };
  hooks.commit = [this] { return committer->sync(); };
  hooks.refresh = [this](const LockAnswer& granted) { return refresh->run_from(granted.writer, granted.stamp); };
  hooks.is_dead = [this](const SessionId& holder) { return LifeLock::is_dead(options.home, holder); };
  hooks.is_here = [this](const SessionId& holder) { return LifeLock::is_here(options.home, holder); };
  hooks.lost = [this](const std::vector<LockTarget>& gone) {
    exec_locks->on_lost(gone);
    Delta files;
    for (const LockTarget& target : gone)
      if (target.kind != LockKind::exec)
        files.inodes.push_back({target.ino, kChangedAttr | kChangedData, {Range{0, kMaxFileSize}}});
    notifier->submit(std::move(files));
  };
  locks.emplace(lock_store, bus, clock, self, lock_options, std::move(hooks));
  exec_locks.emplace(*locks);
}

void Session::Parts::on_news(const News& news) {
  switch (news.kind) {
    case News::Kind::version: watcher->on_version(news); return;
    case News::Kind::want_lease:
    case News::Kind::lease_free: lease->on_news(news); return;
    case News::Kind::refreshed: refresh->on_news(news); return;
    case News::Kind::destroyed: watcher->on_destroyed(); return;
    case News::Kind::locks:
      if (news.session != self) locks->on_news();
      return;
    case News::Kind::refresh: break;
  }
  if (news.session == self) return;
  News answer = news;
  answer.kind = News::Kind::refreshed;
  bool first = false;
  {
    MutexLock lock(jobs_mutex);
    first = askers.empty();
    askers.push_back(std::move(answer));
  }
  if (first) later([this] { answer_askers(); });
}

void Session::Parts::answer_askers() {
  std::vector<News> answers;
  {
    MutexLock lock(jobs_mutex);
    answers.swap(askers);
  }
  if (idle && idle->away()) return;  // it has gone meanwhile, and released the lease before
  const Status synced = committer->sync(kSecondNs);
  if (!synced.ok()) return;  // the askers' time-outs end their waits
  for (const News& answer : answers)
    if (!bus.announce(answer).ok()) log::debug("refresh: Redis is away");
}

void Session::Parts::on_lost(CommitState why, const std::vector<InFlight>& lost, const Delta& dropped) {
  lease->on_lost();
  notifier->submit_all(dropped);
  const Result<std::string> saved = save_lost(options.home, options.name, lost);
  if (saved.ok()) {
    log::error("changes_saved: what could not be committed is in ", *saved);
  } else {
    log::error("changes_not_saved: ", saved.error().what);
  }
  if (why == CommitState::destroyed) on_destroyed();
}

Status Session::Parts::none_lost() {
  if (options.vfs.durability == Durability::sync) return {};  // each call has told of its own changes
  bool untold = false;
  MutexLock lock(state->mu);
  for (auto& [ino, loss] : state->lost) untold = !std::exchange(loss.told, true) || untold;
  return untold ? Status(fail(EIO, cat("changes were lost with the lease; they are saved in ", options.home, "/lost")))
                : Status();
}

void Session::Parts::later(std::function<void()> job) {
  MutexLock lock(jobs_mutex);
  jobs.push_back(std::move(job));
  jobs_changed.notify_all();
}

void Session::Parts::soon(std::function<void()> job) {
  MutexLock lock(jobs_mutex);
  jobs.push_front(std::move(job));
  jobs_changed.notify_all();
}

void Session::Parts::attend(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::function<void()> job;
    {
      MutexLock lock(jobs_mutex);
      while (jobs.empty() && !stop.stop_requested()) jobs_changed.wait(lock);
      if (stop.stop_requested()) return;
      job = std::move(jobs.front());
      jobs.pop_front();
    }
    job();
  }
}

void Session::Parts::start() {
  attendant = std::jthread([this](const std::stop_token& stop) { attend(stop); });
  Bus::Listener listener;
  listener.on_news = [this](const News& news) { on_news(news); };
  listener.on_connected = [this] {
    watcher->on_connected();
    publisher->retry_now();
  };
  listener.on_disconnected = [this] { watcher->on_disconnected(); };
  bus.listen(std::move(listener));
  notifier->start();
  start_working();
  if (idle) idle->start();
}

void Session::Parts::start_working() {
  committer->start();
  publisher->start();
  watcher->start();
  bus.start();
  lease->start();
  locks->start();
  heartbeat->start();
  housekeeper->start();
}

void Session::Parts::stop() {
  if (idle) idle->stop();
  stop_working();
  if (attendant.joinable()) {
    attendant.request_stop();
    {
      MutexLock lock(jobs_mutex);
      jobs_changed.notify_all();
    }
    attendant.join();
  }
  if (notifier) notifier->stop();
}

void Session::Parts::stop_working() {
  // Backwards: who tells others goes before whom it tells.
  if (locks) locks->stop();
  if (housekeeper) housekeeper->stop();
  if (heartbeat) heartbeat->stop();
  bus.stop();
  if (watcher) watcher->stop();
  if (lease) lease->stop();
  if (committer) committer->stop(true);
  if (publisher) publisher->stop();
}

}  // namespace sboxfs
