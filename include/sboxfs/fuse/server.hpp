// One FUSE mount: the request loop and the kernel's caches. The only header of the layer that sees libfuse.
//
// Loop: up to two threads read a non-blocking descriptor and poll 50 µs before one of them sleeps in poll(2); the
// others sleep on a condition. A thread that is about to wait (BlockingSection) hands its place to another one, or
// starts one, up to 256: a cached answer never waits behind an uncached one. Replies the kernel may cache are computed
// and sent inside a section of State::replies, which a waiting thread leaves.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sboxfs/base/result.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/kernel.hpp"
#include "sboxfs/vfs/vfs.hpp"

namespace sboxfs {

struct FuseOptions {
  std::string mount_point;  ///< absolute, an existing directory
  std::string name;         ///< shown as the source: sboxfs#NAME
  bool allow_other = false;
  bool dev = false;
  bool suid = false;
  bool noexec = false;
  bool read_only = false;
  bool local_lock = false;  ///< locks hold within this mount only; else Vfs::locks must be set
};

/// What every request but FORGET passes before it is served: the gate of a session that may be away (session/idle).
class Admission {
 public:
  virtual ~Admission() = default;
  /// May wait, in a BlockingSection. An error is the request's answer.
  virtual Status enter() = 0;
  /// The request is answered; for each enter() that succeeded.
  virtual void leave() = 0;
};

/// Thread-safe. mount() → serve() → destruction; destruction closes the connection.
class FuseServer final : public Kernel {
 public:
  /// Mounts; requests wait until serve() runs. Errors (each one sentence): ENOENT, ENOTDIR, EBUSY (already a FUSE
  /// mount point, living or dead), EPERM (what the host forbids: /dev/fuse, fusermount3, user_allow_other), EIO.
  static Result<std::unique_ptr<FuseServer>> mount(const FuseOptions& options, State& state);
  ~FuseServer() override;

  /// Answers requests until the file system is unmounted or stop() was called; `vfs` must outlive it. After stop(),
  /// who still has something of the mount open gets ENOTCONN until destruction.
  void serve(Vfs& vfs);
  /// Detaches the mount, has mapped pages written back, and ends serve() after what was read is answered. What waits
  /// for a service gives up after 2 s. From any thread but those that answer requests, more than once.
  void stop();

  void begin_thread() override;
  bool expire_entry(Ino parent, const std::string& name) override;
  bool drop_entry(Ino parent, const std::string& name) override;
  bool inval_inode(Ino ino, std::int64_t offset, std::int64_t length) override;
  bool inval_attr(Ino ino) override;
  void expire_all() override;

  /// Has the mapped dirty pages of all files that are open for writing written back; returns when they are. Not from a
  /// thread that answers requests.
  void write_back();

  /// How often each kind of request came.
  std::map<std::string, std::uint64_t> requests() const;
  /// Ends the threads that earlier waits have left behind.
  void trim();
  /// May be null. Not owned; set before serve().
  Admission* admission = nullptr;
  /// Called with an inode whose pages and attributes the kernel has wrong (an append went elsewhere): invalidate all
  /// of it, on another thread. Set before serve().
  std::function<void(Ino)> on_end_differs;

 private:
  struct Impl;
  explicit FuseServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sboxfs
