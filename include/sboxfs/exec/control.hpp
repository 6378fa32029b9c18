// The control socket of a mount: one JSON object a line, one answer a line.
//
// Requests, `{"do": WORD}`: sync (EIO also when changes were lost since this connection took hold), refresh, status,
// stop, hold (the mount stays until this connection closes), release (with "keep_seconds": hold no longer; the mount
// stays that long; "going" says whether it goes now), wait (answered when the session has ended, with how), lock (with
// "exclusive" and "timeout_seconds": the exec lock, for as long as this connection lives; one more line, an error,
// comes when it is taken away). Answers: `{"ok": true, "warning": TEXT?, "status": {...}?, "going": BOOL?}` or `{"ok":
// false, "errno": N, "message": TEXT}`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// The exec lock while it is held; let go with the object.
class ExecLock {
 public:
  virtual ~ExecLock() = default;
  /// Whether it was taken away.
  virtual bool lost() const = 0;
};

/// What the mount's process does when asked. Called from the server's threads.
struct ControlHandlers {
  std::function<Status(std::string* warning)> sync;
  std::function<std::uint64_t()> losses;  ///< how often accepted changes were lost so far
  std::function<Status()> refresh;
  std::function<std::string()> status;  ///< a JSON object
  std::function<void()> stop;
  /// For a mount that goes by itself when nobody holds it: unmounts unless it is busy, returns whether it did.
  /// Empty: it stays until somebody unmounts it.
  std::function<bool()> detach_unused;
  /// Waits for the exec lock; `cancelled` says that nobody waits any more. ETIMEDOUT.
  std::function<Result<std::unique_ptr<ExecLock>>(bool exclusive, std::int64_t timeout_ns,
                                                  const std::function<bool()>& cancelled)>
      lock;
};

/// Serves one socket, a thread per connection. Thread-safe.
class ControlServer {
 public:
  /// Binds (an old socket of that name is replaced) and starts to serve. bind's errno.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& path, ControlHandlers handlers);
  virtual ~ControlServer() = default;
  /// Unmounts a mount that goes by itself, if nobody holds it and its time is over. To be called now and then.
  virtual void go_if_unused() = 0;
  /// Whether somebody holds the mount.
  virtual bool held() const = 0;
  /// Runs `unmount` unless somebody holds the mount; nobody gets hold of it meanwhile. What `unmount` returned.
  virtual bool unmount_unless_held(const std::function<bool()>& unmount) = 0;
  /// The session ended so: answers those who wait, refuses everything else from now on.
  virtual void session_ended(const Status& how) = 0;
};

/// The client's side. Not shared between threads.
class ControlClient {
 public:
  /// ECONNREFUSED or ENOENT when no process serves the socket.
  static Result<ControlClient> connect(const std::string& path);
  /// Sends a request and waits for its answer (no time-out: a commit takes what it takes). The mount's error, or
  /// ECONNRESET when its process ended before it answered. `warning` may be null.
  Status request(const std::string& word, std::string* warning = nullptr);
  /// Takes the exec lock, which this connection then holds until it goes. ETIMEDOUT. From then on the descriptor
  /// becomes readable when the lock is taken away or the mount's process dies: the connection serves nothing else.
  Status lock(bool exclusive, double timeout_seconds);
  int fd() const { return fd_.get(); }
  /// The request "wait" in two halves: asked for before the session is made to end (afterwards its process may be gone
  /// before it reads a request), answered with how it ended; ECONNRESET when its process died without a word.
  Status ask_for_end();
  Status wait_for_end();
  /// Holds no longer; see the request. Returns whether the mount goes now.
  Result<bool> release(double keep_seconds);
  /// The status object as JSON text.
  Result<std::string> status();

 private:
  explicit ControlClient(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<std::string> exchange(const std::string& line);
  UniqueFd fd_;
  std::string buffer_;
};

}  // namespace sboxfs
