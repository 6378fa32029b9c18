#include "sboxfs/coherence/refresh.hpp"

#include <chrono>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/log.hpp"

namespace sboxfs {

Status Refresh::run() {
  {
    MutexLock lock(state_.mu);
    // Whoever holds the lease has everything there is.
    if (state_.writable) return {};
  }
  BlockingSection waiting;
  SBOXFS_TRY(ask_writer());
  SBOXFS_TRY(adoption_.check());
  if (!notifier_.wait(notifier_.newest(), options_.notify_timeout_ns)) log::debug("refresh: the kernel is slow");
  return {};
}

Status Refresh::ask_writer() {
  SBOXFS_ASSIGN(const LeaseState lease, store_.look());
  if (!lease.writer || *lease.writer == self_) return {};
  std::uint64_t before = 0;
  {
    MutexLock lock(mutex_);
    before = answers_;
  }
  News news;
  news.kind = News::Kind::refresh;
  news.session = self_;
  const std::int64_t end = clock_.monotonic_ns() + options_.writer_timeout_ns;
  if (!bus_.announce(news).ok()) {
    // Without Redis the way to make the writer commit is to want its lease (it looks every 200 ms).
    const Result<LeaseAnswer> asked = store_.acquire(kSecondNs, std::nullopt);
    if (!asked.ok()) return asked.error();
    if (asked->grant) return store_.release(asked->grant->epoch);
    while (clock_.monotonic_ns() < end) {
      SBOXFS_ASSIGN(const LeaseState now, store_.look());
      if (!now.writer || *now.writer != *lease.writer) return {};
      if (BlockingSection::interrupted()) return fail(EINTR);
      MutexLock lock(mutex_);
      answered_.wait_for(lock, std::chrono::milliseconds(20));
    }
    return {};
  }
  MutexLock lock(mutex_);
  while (answers_ == before && clock_.monotonic_ns() < end) {
    if (BlockingSection::interrupted()) return fail(EINTR);
    answered_.wait_for(lock, std::chrono::milliseconds(20));
  }
  return {};
}

void Refresh::on_news(const News& news) {
  if (news.kind != News::Kind::refreshed || news.session != self_) return;
  MutexLock lock(mutex_);
  ++answers_;
  answered_.notify_all();
}

}  // namespace sboxfs
