// flock(2) and fcntl(2) locks. A request that must wait is parked without a thread; its answer comes from the locks'
// own thread, or, when it is interrupted, from the worker that reads the interruption.
#include <fcntl.h>
#include <sys/file.h>

#include <memory>

#include "request.hpp"

namespace sboxfs::fuse {
namespace {

LockType type_of(int word) {
  if (word == F_RDLCK) return LockType::shared;
  return word == F_WRLCK ? LockType::exclusive : LockType::none;
}

Vfs::LockWish record_wish(const fuse_file_info* info, const struct flock& wanted) {
  Vfs::LockWish wish;
  wish.owner = info->lock_owner;
  wish.type = type_of(wanted.l_type);
  wish.range.start = static_cast<std::uint64_t>(wanted.l_start);
  wish.range.stop = wanted.l_len == 0 ? kLockEnd : wish.range.start + static_cast<std::uint64_t>(wanted.l_len) - 1;
  wish.range.exclusive = wish.type == LockType::exclusive;
  wish.range.pid = wanted.l_pid;
  return wish;
}

/// libfuse keeps a pointer to it until the request is answered.
struct Waiting {
  Context* context = nullptr;
  std::weak_ptr<LockWaiter> waiter;  // which keeps this
};

/// Called by libfuse under the request's own lock, where it must not be answered.
void on_interrupt(fuse_req_t request, void* data) {
  auto& waiting = *static_cast<Waiting*>(data);
  if (auto waiter = waiting.waiter.lock()) waiting.context->interrupted_locks.add(request, std::move(waiter));
}

void answer(fuse_req_t request, const Status& status) {
  // Returns after an on_interrupt() under way; from here on there is none.
  fuse_req_interrupt_func(request, nullptr, nullptr);
  fuse_reply_err(request, status.code());
}

void wait_for(fuse_req_t request, Vfs& vfs, const Handle& handle, const Vfs::LockWish& wish) {
  const auto waiting = std::make_shared<Waiting>();
  waiting->context = &context(request);
  const std::shared_ptr<LockWaiter> waiter =
      vfs.lock_waiter(handle, wish, [request, waiting](const Status& status) { answer(request, status); });
  waiting->waiter = waiter;
  fuse_req_interrupt_func(request, on_interrupt, waiting.get());
  vfs.locks->park(waiter);
}

void lock(fuse_req_t request, Vfs& vfs, const fuse_file_info* info, const Vfs::LockWish& wish, bool wait) {
  const Handle& handle = handle_of(info);
  const Status status = vfs.lock(handle, wish, wait);
  if (wait && status.code() == EAGAIN) {
    wait_for(request, vfs, handle, wish);
  } else {
    reply_status(request, status);
  }
}

void setlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted, int sleep) {
  serve(request, Kind::setlk, [&](Vfs& vfs) {
    const Vfs::LockWish wish = record_wish(info, *wanted);
    lock(request, vfs, info, wish, sleep != 0);
  });
}

void getlk(fuse_req_t request, fuse_ino_t, fuse_file_info* info, struct flock* wanted) {
  serve(request, Kind::getlk, [&](Vfs& vfs) {
    const Vfs::LockWish wish = record_wish(info, *wanted);
    const Result<std::optional<LockRange>> found = vfs.test_lock(handle_of(info), wish);
    if (!found.ok()) {
      fuse_reply_err(request, found.code());
      return;
    }
    struct flock out = *wanted;
    out.l_type = F_UNLCK;
    if (*found) {
      out.l_type = (*found)->exclusive ? F_WRLCK : F_RDLCK;
      out.l_whence = SEEK_SET;
      out.l_start = static_cast<off_t>((*found)->start);
      out.l_len = (*found)->stop == kLockEnd ? 0 : static_cast<off_t>((*found)->stop - (*found)->start + 1);
      out.l_pid = (*found)->pid;
    }
    fuse_reply_lock(request, &out);
  });
}

void flock(fuse_req_t request, fuse_ino_t, fuse_file_info* info, int operation) {
  serve(request, Kind::flock, [&](Vfs& vfs) {
    Vfs::LockWish wish;
    wish.kind = LockKind::flock;
    wish.owner = info->lock_owner;
    const int word = operation & ~LOCK_NB;
    if (word == LOCK_SH) wish.type = LockType::shared;
    if (word == LOCK_EX) wish.type = LockType::exclusive;
    wish.range.exclusive = wish.type == LockType::exclusive;
    wish.range.pid = fuse_req_ctx(request)->pid;
    lock(request, vfs, info, wish, (operation & LOCK_NB) == 0);
  });
}

}  // namespace

void InterruptedLocks::add(fuse_req_t request, std::shared_ptr<LockWaiter> waiter) {
  MutexLock lock(mutex_);
  items_.emplace_back(request, std::move(waiter));
  any_ = true;
}

void InterruptedLocks::answer(Vfs& vfs) {
  if (!any_.load(std::memory_order_relaxed)) return;
  std::vector<std::pair<fuse_req_t, std::shared_ptr<LockWaiter>>> items;
  {
    MutexLock lock(mutex_);
    items.swap(items_);
    any_ = false;
  }
  // A request that was answered meanwhile is not there any more, and is not touched.
  for (const auto& [request, waiter] : items)
    if (vfs.locks->give_up(waiter)) fuse::answer(request, fail(EINTR));
}

void add_lock_operations(fuse_lowlevel_ops& table) {
  table.getlk = getlk;
  table.setlk = setlk;
  table.flock = flock;
}

}  // namespace sboxfs::fuse
