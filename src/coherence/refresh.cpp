#include "sboxfs/coherence/refresh.hpp"

#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/log.hpp"

namespace sboxfs {

bool Refresh::writing() const {
  MutexLock lock(state_.mu);
  // Whoever accepts changes has everything there is.
  return state_.writable;
}

Status Refresh::run() {
  BlockingSection waiting;
  if (!writing()) {
    SBOXFS_ASSIGN(const LeaseState lease, store_.look());
    SBOXFS_ASSIGN(const bool behind, ask_writer(lease.writer, lease.stamp));
    if (behind || lease.destroyed) SBOXFS_TRY(adoption_.check());
  }
  wait_for_kernel();
  return {};
}

Status Refresh::run_from(const std::optional<SessionId>& writer, const Stamp& now) {
  BlockingSection waiting;
  if (!writing()) {
    SBOXFS_ASSIGN(const bool behind, ask_writer(writer, now));
    if (behind) SBOXFS_TRY(adoption_.check());
  }
  wait_for_kernel();
  return {};
}

void Refresh::wait_for_kernel() {
  if (!notifier_.wait(notifier_.newest(), options_.notify_timeout_ns)) log::debug("refresh: the kernel is slow");
}

Result<bool> Refresh::ask_writer(const std::optional<SessionId>& writer, const Stamp& now) {
  const bool others = writer && *writer != self_;
  if (!others || (options_.writer_is_dead && options_.writer_is_dead(*writer))) {
    MutexLock lock(state_.mu);
    return now != state_.seen;
  }
  News news;
  news.kind = News::Kind::refresh;
  news.session = self_;
  // The answer to somebody else's question, asked earlier, may leave out what was accepted since.
  const Uuid question = news.stamp.batch = Uuid::random();
  {
    MutexLock lock(mutex_);
    questions_.insert(question);
  }
  const std::int64_t end = clock_.monotonic_ns() + options_.writer_timeout_ns;
  const Status status = bus_.announce(news).ok() ? wait_for_answer(question, end) : take_over(*writer, end);
  {
    MutexLock lock(mutex_);
    questions_.erase(question);
  }
  SBOXFS_TRY(status);
  return true;
}

Status Refresh::wait_for_answer(const Uuid& question, std::int64_t end_ns) {
  MutexLock lock(mutex_);
  while (questions_.count(question) > 0 && clock_.monotonic_ns() < end_ns) {
    if (BlockingSection::interrupted()) return fail(EINTR);
    answered_.wait_for(lock, std::chrono::milliseconds(20));
  }
  return {};
}

Status Refresh::take_over(const SessionId& writer, std::int64_t end_ns) {
  Status taken = acquire_lease_ ? acquire_lease_() : fail(EROFS);
  if (taken.code() != EROFS) return taken;
  // A session that never writes wants it all the same: the writer commits, and hands it to nobody.
  SBOXFS_ASSIGN(const LeaseAnswer asked, store_.acquire(kSecondNs, std::nullopt));
  if (asked.grant) return store_.release(asked.grant->epoch);
  while (clock_.monotonic_ns() < end_ns) {
    SBOXFS_ASSIGN(const LeaseState now, store_.look());
    if (!now.writer || *now.writer != writer) return {};
    if (BlockingSection::interrupted()) return fail(EINTR);
    MutexLock lock(mutex_);
    answered_.wait_for(lock, std::chrono::milliseconds(20));
  }
  return {};
}

void Refresh::on_news(const News& news) {
  if (news.kind != News::Kind::refreshed || news.session != self_) return;
  MutexLock lock(mutex_);
  questions_.erase(news.stamp.batch);
  answered_.notify_all();
}

}  // namespace sboxfs
