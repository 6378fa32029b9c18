#include "sboxfs/coherence/adopt.hpp"

#include <dirent.h>

#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/fault.hpp"
#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {

// Beyond that somebody removes whole trees, which nobody opens.
constexpr std::size_t kMostLatelyRemoved = 100'000;

NameWas what_was(Tree& tree, const NameChange& change) {
  Inode* dir = tree.peek(change.parent);
  if (dir == nullptr || !dir->dir) return NameWas::unknown;
  const Tree::Name name = tree.find_name(*dir, tree.cookie(change.name), change.name);
  if (name.state == Tree::Name::State::unknown) return NameWas::unknown;
  if (name.state == Tree::Name::State::absent) return NameWas::absent;
  return name.item->type == DT_DIR ? NameWas::directory : NameWas::file;
}

}  // namespace

Status Adoption::adopt(Version upto) {
  {
    MutexLock lock(state_.mu);
    if (state_.seen.version >= upto) return {};
  }
  return run(upto, false);
}

Status Adoption::check() { return run(0, true); }

Status Adoption::run(Version upto, bool always) {
  BlockingSection waiting;
  {
    MutexLock lock(turn_mutex_);
    while (busy_) {
      if (BlockingSection::interrupted()) return fail(EINTR);
      turn_.wait_for(lock, std::chrono::milliseconds(50));
    }
    busy_ = true;
  }
  Status status;
  for (;;) {
    const Result<Step> outcome = step(upto, always);
    if (!outcome.ok()) {
      status = outcome.error();
      break;
    }
    if (*outcome == Step::done) break;
    if (*outcome == Step::reload) {
      status = reload();
      if (status.code() != EAGAIN) break;
      status = {};
      wait_for_committer();
    }
    if (BlockingSection::interrupted()) {
      status = fail(EINTR);
      break;
    }
  }
  MutexLock lock(turn_mutex_);
  busy_ = false;
  turn_.notify_all();
  return status;
}

Result<Adoption::Step> Adoption::step(Version upto, bool& always) {
  Stamp from;
  {
    MutexLock lock(state_.mu);
    if (state_.destroyed) return fail(ESTALE);
    if (!always && state_.seen.version >= upto) return Step::done;
    from = state_.seen;
  }
  const Result<LoadedChanges> answer = loader_.changes(from.version);
  if (!answer.ok() && answer.code() != ESTALE) return Error(answer.error());
  // ESTALE: even its row is gone.
  if (!answer.ok() || answer->destroyed) {
    state_.destroyed = true;
    if (events_.destroyed) events_.destroyed();
    return fail(ESTALE, "the sandbox was destroyed");
  }
  const LoadedChanges& loaded = *answer;
  Dropped dropped;
  std::vector<Ino> orphaned;
  const Step next = apply(from, loaded, dropped, orphaned);
  if (!orphaned.empty() && events_.orphaned) events_.orphaned(orphaned);
  if (!dropped.delta.empty() && events_.dropped) events_.dropped(dropped);
  if (next == Step::again) wait_for_committer();
  if (next == Step::done) {
    always = false;
    // Whoever writes next under a quota must know what the others have used.
    if (!loaded.changes.empty() && has_quota()) SBOXFS_TRY(read_usage());
  }
  return next;
}

bool Adoption::has_quota() const {
  MutexLock lock(state_.mu);
  return state_.usage.limited();
}

Status Adoption::read_usage() {
  SBOXFS_ASSIGN(const SandboxFacts facts, loader_.facts());
  MutexLock lock(state_.mu);
  state_.usage.quota_blocks = facts.usage.quota_blocks;
  state_.usage.quota_inodes = facts.usage.quota_inodes;
  if (facts.stamp != state_.seen) return {};
  state_.usage = facts.usage;
  state_.usage.add(state_.journal.pending_blocks(), state_.journal.pending_inodes());
  return {};
}

Adoption::Step Adoption::apply(const Stamp& from, const LoadedChanges& loaded, Dropped& dropped,
                               std::vector<Ino>& orphaned) {
  MutexLock lock(state_.mu);
  if (state_.seen != from) return Step::again;  // our own commit was settled meanwhile
  const bool own_next = !loaded.changes.empty() && loaded.changes.front().stamp.batch == state_.flying;
  if (own_next) return Step::again;
  // Somebody else changed the tree under accepted changes of ours: the committer finds out that it is fenced.
  const bool same_history = loaded.base && *loaded.base == from.batch;
  const bool behind = !same_history || !loaded.changes.empty();
  if (behind && (state_.journal.in_flight() || !state_.journal.empty())) return Step::again;
  if (!same_history) return Step::reload;
  if (fault::point("adopt.skip_delta")) {
    if (!loaded.changes.empty()) state_.seen = loaded.changes.back().stamp;
    return Step::done;
  }
  for (const Change& change : loaded.changes) {
    drop(change.delta, dropped, orphaned);
    state_.recent.add(change.stamp.version, change.delta);
    state_.seen = change.stamp;
  }
  if (!loaded.changes.empty()) ++state_.generation;
  return Step::done;
}

void Adoption::drop(const Delta& delta, Dropped& dropped, std::vector<Ino>& orphaned) {
  for (const NameChange& change : delta.names) dropped.names.push_back(what_was(state_.tree, change));
  for (const InodeChange& change : delta.inodes)
    if ((change.what & kChangedGone) != 0 && state_.lately_removed.size() < kMostLatelyRemoved)
      state_.lately_removed.insert(change.ino);
  const std::vector<Ino> open = state_.tree.drop(delta);
  orphaned.insert(orphaned.end(), open.begin(), open.end());
  Delta& all = dropped.delta;
  all.names.insert(all.names.end(), delta.names.begin(), delta.names.end());
  all.inodes.insert(all.inodes.end(), delta.inodes.begin(), delta.inodes.end());
}

Status Adoption::reload() {
  Stamp from;
  {
    MutexLock lock(state_.mu);
    from = state_.seen;
  }
  SBOXFS_ASSIGN(const SandboxFacts facts, loader_.facts());
  Delta everything;
  {
    MutexLock lock(state_.mu);
    // A commit of ours that was settled meanwhile is not in what was read: its successor would be fenced.
    if (state_.seen != from) return fail(EAGAIN, "a commit passed by");
    if (state_.journal.in_flight() || !state_.journal.empty()) return fail(EAGAIN, "changes are being committed");
    log::warn("reload: from version ", state_.seen.version, " to ", facts.stamp.version);
    everything = state_.tree.everything();
    state_.tree.drop_all();
    state_.recent.clear();
    state_.lately_removed.clear();
    state_.seen = facts.stamp;
    state_.usage = facts.usage;
    ++state_.generation;
  }
  if (events_.dropped_all) events_.dropped_all(everything);
  return {};
}

void Adoption::wait_for_committer() {
  MutexLock lock(state_.mu);
  if (!state_.journal.in_flight() && state_.journal.empty()) return;
  state_.work.notify_one();
  state_.committed.wait_for(lock, std::chrono::milliseconds(20));
}

}  // namespace sboxfs
