#include "eviction.hpp"

#include <malloc.h>

#include <algorithm>

#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {

constexpr std::int64_t kNotifyTimeoutNs = 10 * kSecondNs;
// So long at most a request's coming goes unnoticed.
constexpr std::int64_t kDrainSliceNs = 100 * kMillisecondNs;

}  // namespace

Eviction::Eviction(State& state, Loader& loader, LeaseStore& store, Lease& lease, Publisher& publisher,
                   Notifier& notifier, ContentCache& cache, EvictionOptions options, EvictionHooks hooks)
    : state_(state),
      loader_(loader),
      store_(store),
      lease_(lease),
      publisher_(publisher),
      notifier_(notifier),
      cache_(cache),
      options_(std::move(options)),
      hooks_(std::move(hooks)) {}

bool Eviction::unused() const {
  MutexLock lock(state_.mu);
  if (!state_.journal.empty() || state_.journal.in_flight()) return false;
  return std::all_of(state_.tree.inodes().begin(), state_.tree.inodes().end(),
                     [](const auto& item) { return item.second.opens == 0; });
}

void Eviction::take_back() {
  Delta everything;
  {
    MutexLock lock(state_.mu);
    everything = state_.tree.everything();
  }
  const std::uint64_t ticket = notifier_.submit_all(std::move(everything));
  if (!notifier_.wait(ticket, kNotifyTimeoutNs)) log::debug("idle: the kernel is slow");
}

Status Eviction::settle(const std::function<bool()>& go_on) {
  SBOXFS_TRY(lease_.give_up());
  std::int64_t left_ns = options_.drain_timeout_ns;
  for (;;) {
    const Status drained = publisher_.drain(std::min(left_ns, kDrainSliceNs));
    if (drained.ok()) return {};
    if (!go_on()) return fail(EAGAIN, "the mount is used again");
    left_ns -= kDrainSliceNs;
    if (left_ns > 0) continue;
    log::warn("not_published: ", drained.error().what);
    left_unpublished_ = true;
    return {};
  }
}

void Eviction::evict() {
  hooks_.stop();
  if (const Status closed = store_.close_session(); !closed.ok()) log::debug("session_row: it stays until it expires");
  // The outbox has it. Whoever publishes it from now on looks into the database first.
  publisher_.restart(0);
  {
    MutexLock lock(state_.mu);
    state_.tree.drop_all();
    state_.recent.clear();
    ++state_.generation;
  }
  state_.cacheable = false;
  cache_.clear();
  hooks_.disconnect();
  ::malloc_trim(0);
  ++evictions_;
  log::info("idle_evicted: the next access brings it back");
}

Status Eviction::revive() {
  Status back = register_again();
  if (back.ok()) {
    left_unpublished_ = false;
    hooks_.start();
    log::info("idle_revived");
    return {};
  }
  hooks_.disconnect();
  if (back.code() == ESTALE && !state_.destroyed.exchange(true)) {
    log::warn("destroyed: the sandbox is gone, unmounting");
    hooks_.destroyed();
  }
  return back;
}

Status Eviction::register_again() {
  // The row comes first: whoever deletes an inode from now on knows that this session may have it open. Somebody waits:
  // one connection, no more questions than needed.
  SBOXFS_ASSIGN(const Stamp seen, store_.open_session(options_.host, options_.mount_point, options_.alive_ns));
  SBOXFS_ASSIGN(const LeaseState lease, store_.look());
  bool quota = false;
  {
    MutexLock lock(state_.mu);
    state_.seen = seen;
    quota = state_.usage.limited();
  }
  if (quota) {
    SBOXFS_ASSIGN(const SandboxFacts facts, loader_.facts());
    MutexLock lock(state_.mu);
    state_.usage = facts.usage;
  }
  publisher_.restart(lease.published_version);
  if (lease.published_version < lease.stamp.version)
    publisher_.committed(Change{lease.stamp, lease.epoch, {}, {}}, lease.published_version);
  return {};
}

}  // namespace sboxfs
