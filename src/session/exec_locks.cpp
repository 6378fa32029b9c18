#include "exec_locks.hpp"

#include <chrono>

#include "sboxfs/base/log.hpp"

namespace sboxfs {
namespace {

LockCall call_of(std::uint64_t number, LockType type) {
  LockCall call;
  call.target = {0, LockKind::exec, number};
  call.range.exclusive = type == LockType::exclusive;
  call.type = type;
  return call;
}

/// How a parked request ended; outlives who waits for it.
struct Answer {
  Mutex mutex;
  CondVar came;
  bool here GUARDED_BY(mutex) = false;
  Status status GUARDED_BY(mutex);
};

}  // namespace

Result<std::uint64_t> ExecLocks::take(bool exclusive, std::int64_t timeout_ns, const std::function<bool()>& cancelled) {
  const std::int64_t deadline = SystemClock().monotonic_ns() + timeout_ns;
  const std::uint64_t number = ++last_;
  const LockCall call = call_of(number, exclusive ? LockType::exclusive : LockType::shared);
  {
    // From here on: it may be taken away as soon as it is granted.
    MutexLock lock(mutex_);
    held_.insert(number);
  }
  Status status = locks_.set(call, true);
  if (status.code() == EAGAIN) {
    const auto answer = std::make_shared<Answer>();
    const auto waiter = std::make_shared<LockWaiter>(call, [answer](const Status& end) {
      MutexLock lock(answer->mutex);
      answer->here = true;
      answer->status = end;
      answer->came.notify_all();
    });
    locks_.park(waiter);
    int given_up = 0;
    MutexLock lock(answer->mutex);
    while (!answer->here) {
      answer->came.wait_for(lock, std::chrono::milliseconds(50));
      if (answer->here || given_up != 0) continue;
      if (cancelled()) given_up = EINTR;
      if (SystemClock().monotonic_ns() >= deadline) given_up = ETIMEDOUT;
      if (given_up == 0) continue;
      lock.unlock();
      const bool ours = locks_.give_up(waiter);
      lock.lock();
      if (!ours) continue;  // granted at the last moment: the answer is on its way
      answer->here = true;
      answer->status = fail(given_up, "another exec holds the sandbox's exec lock");
    }
    status = answer->status;
  }
  if (status.ok()) return number;
  MutexLock lock(mutex_);
  held_.erase(number);
  lost_.erase(number);
  return status.error();
}

void ExecLocks::release(std::uint64_t number) {
  const Status done = locks_.set(call_of(number, LockType::none), false);
  if (!done.ok()) log::debug("exec_lock: let go later: ", done.error().what);
  MutexLock lock(mutex_);
  held_.erase(number);
  lost_.erase(number);
}

bool ExecLocks::lost(std::uint64_t number) const {
  MutexLock lock(mutex_);
  return lost_.count(number) != 0;
}

void ExecLocks::on_lost(const std::vector<LockTarget>& gone) {
  MutexLock lock(mutex_);
  for (const LockTarget& target : gone)
    if (target.kind == LockKind::exec && held_.count(target.owner) != 0) lost_.insert(target.owner);
}

Status ExecLocks::may_write() const {
  MutexLock lock(mutex_);
  if (!lost_.empty()) return fail(EIO, "the exec lock was lost");
  return {};
}

}  // namespace sboxfs
