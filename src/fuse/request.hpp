// One request on its way: the thread that serves it, its read-side section, and how it is answered.
#pragma once

#include <fuse_lowlevel.h>

#include <array>
#include <atomic>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "raw.hpp"
#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/log.hpp"
#include "sboxfs/fuse/server.hpp"

namespace sboxfs::fuse {

enum class Kind : unsigned {
  lookup,
  forget,
  getattr,
  setattr,
  readlink,
  mknod,
  mkdir,
  unlink,
  rmdir,
  symlink,
  rename,
  link,
  open,
  read,
  write,
  flush,
  release,
  fsync,
  readdir,
  readdirplus,
  fsyncdir,
  statfs,
  setxattr,
  getxattr,
  listxattr,
  removexattr,
  create,
  fallocate,
  lseek,
  copy_file_range,
  setlk,
  getlk,
  flock,
  count
};
inline constexpr std::size_t kKinds = static_cast<std::size_t>(Kind::count);

const char* name_of(Kind kind);

/// Requests for locks that were interrupted: noted where they can not be answered, answered right after. Thread-safe.
class InterruptedLocks {
 public:
  void add(fuse_req_t request, std::shared_ptr<LockWaiter> waiter) EXCLUDES(mutex_);
  /// EINTR for those that still wait. Costs a load when there are none.
  void answer(Vfs& vfs) EXCLUDES(mutex_);

 private:
  std::atomic<bool> any_{false};
  Mutex mutex_;
  std::vector<std::pair<fuse_req_t, std::shared_ptr<LockWaiter>>> items_ GUARDED_BY(mutex_);
};

/// What the callbacks reach through the session's user data.
struct Context {
  explicit Context(State& s) : state(s) {}
  State& state;
  Vfs* vfs = nullptr;
  std::array<std::atomic<std::uint64_t>, kKinds> requests{};
  Admission* admission = nullptr;
  std::function<void(Ino)> end_differs;
  std::function<void(Ino)> atime_moved;
  /// Init flags: what the kernel offered, and what was answered beside libfuse. Written before the first other request.
  std::uint32_t offered = 0;
  std::uint32_t agreed = 0;
  std::atomic<bool> init_sent{false};
  InterruptedLocks interrupted_locks;
};

/// A worker's hook into the loop (loop.cpp): it may wait now, it goes on.
class Places {
 public:
  virtual ~Places() = default;
  virtual void leave() = 0;
  virtual void come_back() = 0;
  /// The loop is ending and has waited long enough.
  virtual bool give_up() const = 0;
};

/// The blocking observer of a thread that serves requests.
class Worker final : public BlockingObserver {
 public:
  Worker(State& state, Places& places) : state_(state), places_(places) {}

  void begin(fuse_req_t request) {
    request_ = request;
    interrupted_ns_ = 0;
    ticket_ = state_.replies.enter();
  }
  void end() {
    state_.replies.leave(ticket_);
    request_ = nullptr;
  }
  /// What libfuse did not pass on of the request that is served next.
  RawFlags raw;

  void before_wait() override;
  void after_wait() override;
  bool interrupted() const override;

 private:
  static void on_interrupt(fuse_req_t, void* worker) {
    static_cast<Worker*>(worker)->interrupted_ns_ = SystemClock().monotonic_ns();
  }

  State& state_;
  Places& places_;
  fuse_req_t request_ = nullptr;
  unsigned ticket_ = 0;
  std::atomic<std::int64_t> interrupted_ns_{0};
};

/// The calling thread's worker.
Worker& worker();
void set_worker(Worker* worker);

inline Context& context(fuse_req_t request) { return *static_cast<Context*>(fuse_req_userdata(request)); }

/// The funnel around every callback: counts it, lets it through the gate, keeps it inside a read-side section, and
/// turns what nobody expected into EIO with a log line.
template <class Body>
void serve(fuse_req_t request, Kind kind, Body body) {
  Context& ctx = context(request);
  ctx.requests[static_cast<std::size_t>(kind)].fetch_add(1, std::memory_order_relaxed);
  worker().begin(request);
  // What the kernel forgets is nobody's access.
  Admission* const gate = kind == Kind::forget ? nullptr : ctx.admission;
  const Status admitted = gate == nullptr ? Status() : gate->enter();
  if (!admitted.ok()) {
    fuse_reply_err(request, admitted.code());
    worker().end();
    return;
  }
  try {
    body(*ctx.vfs);
  } catch (const std::exception& error) {
    log::error("request_failed: ", name_of(kind), ": ", error.what());
    fuse_reply_err(request, EIO);
  }
  worker().end();
  if (gate != nullptr) gate->leave();
}

/// Whether setuid and setgid bits are ours to clear (FUSE_HANDLE_KILLPRIV_V2).
bool we_kill(const Context& ctx);

inline Caller caller(fuse_req_t request) {
  const fuse_ctx* who = fuse_req_ctx(request);
  return {who->uid, who->gid, who->pid, who->umask};
}

inline Kill kill_of(fuse_req_t request) { return {worker().raw.kill_suidgid, caller(request)}; }

// Replies. All of them end the request.
void reply_status(fuse_req_t request, const Status& status);
void reply_entry(fuse_req_t request, const Result<Found>& found);
void reply_attr(fuse_req_t request, const Result<Found>& found);
/// Fills in an entry with the time-outs that hold now.
fuse_entry_param entry_of(State& state, const Found& found);
struct stat stat_of(Ino ino, const Attr& attr);
/// How long the kernel may keep what was computed under `generation`, in seconds.
double keep_for(const State& state, std::uint64_t generation);

// The families of operations; each fills in its part of the table.
void add_name_operations(fuse_lowlevel_ops& table);
void add_attribute_operations(fuse_lowlevel_ops& table);
void add_file_operations(fuse_lowlevel_ops& table);
void add_range_operations(fuse_lowlevel_ops& table);
void add_directory_operations(fuse_lowlevel_ops& table);
void add_xattr_operations(fuse_lowlevel_ops& table);
void add_lock_operations(fuse_lowlevel_ops& table);

inline Handle& handle_of(const fuse_file_info* info) { return *reinterpret_cast<Handle*>(info->fh); }

}  // namespace sboxfs::fuse
