#include "sboxfs/session/session.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "parts.hpp"
#include "sboxfs/base/log.hpp"
#include "sboxfs/redis/options.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs {
namespace {

constexpr std::int64_t kAliveNs = 30 * kSecondNs;
constexpr std::int64_t kStatusEveryNs = 10 * kSecondNs;

Result<std::unique_ptr<PgPool>> open_pool(const SessionOptions& options, unsigned connections) {
  PgOptions pg;
  pg.conninfo = options.postgres;
  pg.io_timeout_ns = options.io_timeout_ns;
  pg.max_connections = connections;
  pg.pooler = options.pooler;
  return open_tenant(pg, options.tenant);
}

}  // namespace

Session::Session(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::open(const SessionOptions& options) {
  SBOXFS_ASSIGN(RedisOptions redis, parse_redis_url(options.redis));
  redis.password = options.redis_password;
  const SessionId self = Uuid::random();
  SBOXFS_ASSIGN(LifeLock life, LifeLock::take(options.home, self));
  SBOXFS_ASSIGN(std::unique_ptr<PgPool> readers, open_pool(options, 8));
  SBOXFS_ASSIGN(std::unique_ptr<PgPool> writers, open_pool(options, 6));
  auto parts =
      std::make_unique<Parts>(options, std::move(readers), std::move(writers), std::move(redis), self, std::move(life));
  // The row comes first: whoever deletes an inode from now on knows that this session may have it open.
  const Result<Stamp> registered = parts->lease_store.open_session(host_name(), options.mount_point, kAliveNs);
  if (!registered.ok()) return Error(registered.error());
  const Result<SandboxFacts> facts = parts->loader.facts();
  Status assembled = facts.ok() ? parts->assemble(*facts) : Status(facts.error());
  if (assembled.ok()) {
    const Result<LeaseState> lease = parts->lease_store.look();
    if (lease.ok()) {
      parts->publisher->acknowledged(lease->published_version);
      // Somebody died between commit and publish: it is in the outbox, and published now.
      if (lease->published_version < lease->stamp.version)
        parts->publisher->committed(Change{lease->stamp, lease->epoch, {}, {}}, lease->published_version);
    } else {
      assembled = lease.error();
    }
  }
  if (!assembled.ok()) {
    if (!parts->lease_store.close_session().ok()) log::debug("session_row: it stays until it expires");
    return assembled.error();
  }
  return std::unique_ptr<Session>(new Session(std::move(parts)));
}

Status Session::run(std::function<void()> serving) {
  Parts& parts = *parts_;
  parts.start();
  // The first answer already shows what others had done before.
  if (const Status fresh = parts.refresh->run(); !fresh.ok()) log::warn("refresh: ", fresh.error().what);
  std::jthread greeter([&] {
    struct stat info {};
    if (::stat(parts.options.mount_point.c_str(), &info) != 0) log::debug("the mount does not answer yet");
    log::info("mounted: ", parts.options.name, " at ", parts.options.mount_point);
    if (serving) serving();
  });
  parts.fuse->serve(*parts.vfs);
  greeter.join();
  log::info("shutdown_begin: ", parts.options.name);
  parts.locks->refuse();
  const bool held_locks = parts.locks->held() > 0;
  if (parts.idle) {
    parts.idle->stop();
    // Whoever leaves tries to publish what is pending, also what an eviction has left to the outbox.
    if (parts.idle->away() && parts.eviction->left_unpublished()) {
      if (const Status back = parts.idle->enter(); !back.ok()) log::warn("outbox_left: ", back.error().what);
    }
  }
  const std::uint64_t losses = parts.state->losses;
  Status status;
  // Nothing that was accepted is given up: this ends when the database has it, or has refused it.
  while (!parts.state->destroyed) {
    status = parts.committer->sync(kStatusEveryNs);
    if (status.code() != ETIMEDOUT) break;
    log::warn("shutdown_waits: the database does not commit what was accepted");
  }
  if (parts.state->losses != losses && status.ok()) status = fail(EIO, "changes were lost with the lease");
  if (status.ok() && !parts.state->destroyed) {
    const Status given = parts.lease->give_up();
    if (!given.ok()) log::warn("lease_not_given: it expires: ", given.error().what);
  }
  const Status drained = parts.publisher->drain(parts.options.drain_timeout_ns);
  if (!drained.ok()) log::warn("not_published: ", drained.error().what);
  parts.stop();
  if (!parts.lease_store.close_session().ok()) log::debug("session_row: it stays until it expires");
  if (held_locks) {
    News news;
    news.kind = News::Kind::locks;
    news.session = parts.self;
    if (!parts.bus.announce(news).ok()) log::debug("locks: Redis is away, who waits polls");
  }
  log::info("shutdown_complete: ", parts.options.name);
  return status.ok() ? drained : status;
}

void Session::request_stop() {
  parts_->soon([this] { parts_->fuse->stop(); });
}

void Session::set_idle_use(IdleUse use) { parts_->idle_use = std::move(use); }

Status Session::sync(std::string* warning) {
  if (parts_->state->destroyed) return fail(ESTALE);
  const Status committed = parts_->committer->sync();
  // What was lost before is not committed either, and nobody else may have been told.
  SBOXFS_TRY(parts_->none_lost());
  SBOXFS_TRY(committed);
  Version version = 0;
  {
    MutexLock lock(parts_->state->mu);
    version = parts_->state->seen.version;
  }
  const bool published = !parts_->eviction->left_unpublished() && parts_->publisher->wait_published(version, kSecondNs);
  if (!published && warning != nullptr)
    *warning = "Redis does not answer; everything is committed and will be published when it is back";
  return {};
}

std::uint64_t Session::losses() const { return parts_->state->losses; }

Status Session::refresh() {
  Idle* const gate = parts_->idle ? &*parts_->idle : nullptr;
  if (gate != nullptr) SBOXFS_TRY(gate->enter());
  Status fresh = parts_->refresh->run();
  if (gate != nullptr) gate->leave();
  return fresh;
}

Result<std::uint64_t> Session::take_exec_lock(bool exclusive, std::int64_t timeout_ns,
                                              const std::function<bool()>& cancelled) {
  Idle* const gate = parts_->idle ? &*parts_->idle : nullptr;
  if (gate != nullptr) SBOXFS_TRY(gate->enter());
  Result<std::uint64_t> taken = parts_->exec_locks->take(exclusive, timeout_ns, cancelled);
  if (gate != nullptr) gate->leave();
  return taken;
}

bool Session::exec_lock_lost(std::uint64_t number) const { return parts_->exec_locks->lost(number); }

void Session::release_exec_lock(std::uint64_t number) {
  if (parts_->exec_locks->lost(number)) (void)parts_->none_lost();  // the exec's status tells of it
  parts_->exec_locks->release(number);
}

SessionStatus Session::status() const {
  SessionStatus out;
  out.published = parts_->publisher->published();
  out.holds_lease = parts_->lease->held();
  out.content_bytes = parts_->cache.bytes();
  out.requests = parts_->fuse->requests();
  out.away = parts_->idle && parts_->idle->away();
  out.evictions = parts_->eviction->evictions();
  out.statements = parts_->read_pool->statements() + parts_->write_pool->statements();
  State& state = *parts_->state;
  out.stale = state.stale;
  out.locks = parts_->locks->held();
  MutexLock lock(state.mu);
  out.seen = state.seen;
  out.journal_bytes = state.journal.bytes();
  out.journal_ops = state.journal.ops();
  out.cached_inodes = state.tree.size();
  out.tree_bytes = state.tree.bytes();
  for (const auto& [ino, inode] : state.tree.inodes()) out.open_files += inode.opens;
  return out;
}

}  // namespace sboxfs
