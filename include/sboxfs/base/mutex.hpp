// A mutex that clang's -Wthread-safety can check (std::mutex can not be named in GUARDED_BY).
// Source: clang's "Thread Safety Analysis"; the attribute names are the analysis's own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define SBOXFS_TSA(x) __attribute__((x))
#else
#define SBOXFS_TSA(x)
#endif

#define CAPABILITY(x) SBOXFS_TSA(capability(x))
#define SCOPED_CAPABILITY SBOXFS_TSA(scoped_lockable)
#define GUARDED_BY(x) SBOXFS_TSA(guarded_by(x))
#define PT_GUARDED_BY(x) SBOXFS_TSA(pt_guarded_by(x))
#define REQUIRES(...) SBOXFS_TSA(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) SBOXFS_TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...) SBOXFS_TSA(release_capability(__VA_ARGS__))
#define EXCLUDES(...) SBOXFS_TSA(locks_excluded(__VA_ARGS__))
#define RETURN_CAPABILITY(x) SBOXFS_TSA(lock_returned(x))
#define NO_THREAD_SAFETY_ANALYSIS SBOXFS_TSA(no_thread_safety_analysis)

namespace sboxfs {

class CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  /// Tells the analysis what the caller knows: this thread holds the mutex (for lambdas, which it does not follow).
  void assert_held() const SBOXFS_TSA(assert_capability(this)) {}

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a Mutex for a scope; may be let go and taken again inside it.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  void lock() ACQUIRE() { lock_.lock(); }
  void unlock() RELEASE() { lock_.unlock(); }

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

/// A condition variable for MutexLock. Waits may wake for no reason: re-check in a loop.
class CondVar {
 public:
  void wait(MutexLock& lock) { cond_.wait(lock.lock_); }
  /// False when `timeout` passed first.
  template <class Rep, class Period>
  bool wait_for(MutexLock& lock, std::chrono::duration<Rep, Period> timeout) {
    return cond_.wait_for(lock.lock_, timeout) == std::cv_status::no_timeout;
  }
  void notify_one() { cond_.notify_one(); }
  void notify_all() { cond_.notify_all(); }

 private:
  std::condition_variable cond_;
};

}  // namespace sboxfs
