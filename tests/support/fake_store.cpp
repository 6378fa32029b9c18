#include "fake_store.hpp"

#include <sys/stat.h>

#include <chrono>
#include <stdexcept>

#include "sboxfs/base/blocking.hpp"

namespace sboxfs::test {

FakeStore::FakeStore(std::uint64_t quota_blocks, std::uint64_t quota_inodes, std::int64_t born_ns) {
  rows_.stamp = {1, Uuid::random()};
  random_bytes(rows_.name_key.data(), rows_.name_key.size());
  rows_.usage = {quota_blocks, quota_inodes, 0, 1};
  InodeRecord root;
  root.ino = root.parent = kRootIno;
  root.attr.mode = S_IFDIR | 0755;
  root.attr.nlink = 2;
  root.attr.atime = root.attr.mtime = root.attr.ctime = born_ns;
  rows_.inodes.emplace(kRootIno, root);
  rows_.changes.push_back({rows_.stamp, 0, {}, {}});
}

FakeStore::Rows FakeStore::rows() const {
  MutexLock lock(mutex_);
  return rows_;
}

Epoch FakeStore::take_epoch() {
  MutexLock lock(mutex_);
  return ++rows_.epoch;
}

Ino FakeStore::reserve_inos(std::uint64_t count) {
  MutexLock lock(mutex_);
  const Ino first = rows_.next_ino;
  rows_.next_ino += count;
  return first;
}

void FakeStore::destroy() {
  MutexLock lock(mutex_);
  rows_.destroyed = true;
  ++rows_.epoch;
}

void FakeStore::session_opened() {
  MutexLock lock(mutex_);
  ++sessions_;
}

void FakeStore::session_closed() {
  MutexLock lock(mutex_);
  --sessions_;
}

bool FakeStore::wait(Hold& hold, MutexLock& lock) {
  ++hold.waiting;
  changed_.notify_all();
  bool interrupted = false;
  while (hold.on && !interrupted) {
    changed_.wait_for(lock, std::chrono::milliseconds(20));
    interrupted = BlockingSection::interrupted();
  }
  --hold.waiting;
  return !interrupted;
}

void FakeStore::let_go(Hold FakeStore::*hold) {
  MutexLock lock(mutex_);
  (this->*hold).on = false;
  changed_.notify_all();
}

void FakeStore::wait_for_held(Hold FakeStore::*hold) {
  MutexLock lock(mutex_);
  while ((this->*hold).waiting == 0) changed_.wait(lock);
}

void FakeStore::hold_loads() {
  MutexLock lock(mutex_);
  loads_held_.on = true;
}
void FakeStore::wait_for_held_load() { wait_for_held(&FakeStore::loads_held_); }
void FakeStore::let_loads_go() { let_go(&FakeStore::loads_held_); }

void FakeStore::hold_commits() {
  MutexLock lock(mutex_);
  commits_held_.on = true;
}
void FakeStore::wait_for_held_commit() { wait_for_held(&FakeStore::commits_held_); }
void FakeStore::let_commits_go() { let_go(&FakeStore::commits_held_); }

void FakeStore::when_read(const std::string& what, std::function<void()> then) {
  MutexLock lock(mutex_);
  when_read_[what] = std::move(then);
}

// Lets the caller's lock go for a while, which the analysis can not follow.
void FakeStore::run_when_read(const std::string& what, MutexLock& lock) NO_THREAD_SAFETY_ANALYSIS {
  const auto at = when_read_.find(what);
  if (at == when_read_.end()) return;
  const std::function<void()> then = std::move(at->second);
  when_read_.erase(at);
  lock.unlock();
  then();
  lock.lock();
}

void FakeStore::fail_loads(int code, unsigned times) {
  MutexLock lock(mutex_);
  load_failures_ = {code, times};
}

void FakeStore::fail_uploads(int code, unsigned times) {
  MutexLock lock(mutex_);
  upload_failures_ = {code, times};
}

void FakeStore::plan_commit(CommitPlan plan) {
  MutexLock lock(mutex_);
  plans_.push_back(plan);
}

std::size_t FakeStore::loads(const std::string& what) const {
  MutexLock lock(mutex_);
  const auto at = calls_.find(what);
  return at == calls_.end() ? 0 : at->second;
}

std::vector<Batch> FakeStore::batches() const {
  MutexLock lock(mutex_);
  return batches_;
}

Status FakeStore::Failures::next() {
  if (times == 0) return {};
  --times;
  return fail(code, "a failure the test asked for");
}

Status FakeStore::upload(std::span<const BlobPut> blobs) {
  MutexLock lock(mutex_);
  ++calls_["upload"];
  SBOXFS_TRY(upload_failures_.next());
  for (const BlobPut& put : blobs) {
    if (sha256(*put.data) != put.hash) throw std::logic_error("a blob under a hash that is not its own");
    rows_.blobs[put.hash] = *put.data;
  }
  return {};
}

CommitState FakeStore::permitted(const CommitTerms& terms) const {
  if (rows_.destroyed) return CommitState::destroyed;
  return terms.epoch == rows_.epoch && terms.base == rows_.stamp ? CommitState::committed : CommitState::fenced;
}

CommitOutcome FakeStore::commit(const Batch& batch, const CommitTerms& terms) {
  MutexLock lock(mutex_);
  ++calls_["commit"];
  CommitOutcome outcome;
  if (!wait(commits_held_, lock)) {
    outcome.error = fail(EINTR);
    return outcome;
  }
  CommitPlan plan;
  if (!plans_.empty()) {
    plan = plans_.front();
    plans_.pop_front();
  }
  outcome.state = permitted(terms);
  if (outcome.state != CommitState::committed) {
    outcome.error = fail(ESTALE, "fenced");
    return outcome;
  }
  if (plan.applied) {
    const Version version = rows_.stamp.version + 1;
    apply(batch, version);
    rows_.stamp = {version, batch.id};
    rows_.changes.push_back({rows_.stamp, terms.epoch, {}, batch.delta});
    rows_.published_version = std::max(rows_.published_version, terms.published_version);
    batches_.push_back(batch);
    outcome.stamp = rows_.stamp;
    outcome.alone = alone_;
    outcome.published_version = rows_.published_version;
  }
  outcome.state = plan.answer;
  if (plan.answer != CommitState::committed) outcome.error = fail(EIO, "an answer the test asked for");
  return outcome;
}

CommitOutcome FakeStore::look_up(const BatchId& batch, const CommitTerms& terms) {
  MutexLock lock(mutex_);
  ++calls_["look_up"];
  CommitOutcome outcome;
  for (const Change& change : rows_.changes)
    if (change.stamp.batch == batch) {
      outcome.state = CommitState::committed;
      outcome.stamp = change.stamp;
      outcome.published_version = rows_.published_version;
      return outcome;
    }
  outcome.state = permitted(terms);
  if (outcome.state == CommitState::committed) outcome.state = CommitState::not_applied;
  outcome.error = fail(EIO, "the batch is not there");
  return outcome;
}

Status FakeStore::published(Version version) {
  MutexLock lock(mutex_);
  rows_.published_version = std::max(rows_.published_version, version);
  return {};
}

}  // namespace sboxfs::test
