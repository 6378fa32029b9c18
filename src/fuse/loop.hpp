// The request loop: who reads, who sleeps, who may wait.
//
// A thread with a *place* reads requests and answers them. There are two places; the second is taken only while
// requests queue up. A reader that finds nothing for 50 µs sleeps: the first in poll(2), another one without a place.
// A thread that is about to wait gives its place up, and if nobody reads then, one is woken or started. When all the
// threads there may be wait, the last one only reads: requests are parked until a thread comes back.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <string>
#include <thread>

#include "request.hpp"
#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/mutex.hpp"

namespace sboxfs::fuse {

class Loop final : public Places {
 public:
  Loop(fuse_session* session, int fd, Context& context);
  ~Loop() override;

  /// Serves until the session ends or stop() is called; the calling thread takes part. After stop() requests are
  /// refused (ENOTCONN) until destruction: who still has a file of a detached mount open does not hang, nor does a
  /// notification that waits for such a request.
  void run();
  /// Ends the threads that sleep without a place; returns when they have. From any thread but the loop's.
  void trim() EXCLUDES(mutex_);
  /// stop() is near: who waits for a service gives up soon. From any thread.
  void hurry();
  /// Ends run() after what was read is answered. From any thread.
  void stop();
  /// hurry() or stop() was long enough ago: whoever still waits for a service gives up.
  bool give_up() const override;

  void leave() override;
  void come_back() override {}

 private:
  enum class Got { request, nothing, end };
  enum class Work { place, parked, none };

  void work();
  /// Waits for a place, or for a parked request, which is moved to `parked`.
  Work take_work(std::string& parked) EXCLUDES(mutex_);
  /// The calling thread, one that start_thread() made, shall end.
  void retire() REQUIRES(mutex_);
  void drop_place() EXCLUDES(mutex_);
  Got receive(fuse_buf& buffer);
  Got sleep() EXCLUDES(mutex_);
  void start_thread() REQUIRES(mutex_);
  void call_second() EXCLUDES(mutex_);
  /// Whether the request was put aside (or, an interruption, ended one that was).
  bool park(const fuse_buf& request) EXCLUDES(mutex_);
  void answer(fuse_buf request);
  void reply_error(std::uint64_t unique, int code);
  void refuse();
  void wake();

  fuse_session* session_;
  const int fd_;
  Context& context_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> closing_{false};
  std::atomic<bool> full_{false};  // no more threads may be started
  std::atomic<std::int64_t> hurry_ns_{0};
  Mutex mutex_;
  CondVar place_;
  unsigned active_ GUARDED_BY(mutex_) = 0;  // threads with a place
  unsigned idle_ GUARDED_BY(mutex_) = 0;    // threads that sleep for one
  unsigned spare_ GUARDED_BY(mutex_) = 0;   // those of them that may end
  bool trimming_ GUARDED_BY(mutex_) = false;
  CondVar trimmed_;
  unsigned wanted_ GUARDED_BY(mutex_) = 0;   // a second reader was called
  bool polling_ GUARDED_BY(mutex_) = false;  // somebody sleeps in poll(2)
  std::deque<std::string> parked_ GUARDED_BY(mutex_);
  std::list<std::thread> threads_ GUARDED_BY(mutex_);
  std::list<std::thread> ended_ GUARDED_BY(mutex_);  // to be joined by trim()
  std::thread refuser_;
};

}  // namespace sboxfs::fuse
