// Notifications to the kernel, written to a descriptor of their own.
//
// Why of their own: a notification waits, uninterruptibly, for a lock that a request of this very mount may hold until
// it is answered. If the process is killed meanwhile, that thread can not end, and as long as it shares the descriptor
// that requests are read from, the kernel believes that they will still be answered: whoever waits for them hangs for
// good. So threads that notify have a table of files of their own, with a cloned descriptor only: when the process dies
// the requests' descriptor closes, the requests that were read from it fail, and the guardian (guardian.hpp) refuses
// the others; the locks are let go, and the thread ends.
#pragma once

#include <cstdint>
#include <string>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs::fuse {

/// Thread-safe.
class Notices {
 public:
  explicit Notices(int session_fd);

  /// For threads that only notify: from now on they have no other file than the clone; they can not log.
  void begin_thread();

  // Each returns 0, or the errno: ENOENT the kernel does not have it.
  int entry(Ino parent, const std::string& name, bool expire_only);
  int inode(Ino ino, std::int64_t offset, std::int64_t length);
  int epoch();

 private:
  int send(int code, const void* body, std::size_t size, const std::string* name);

  const int session_fd_;
  UniqueFd clone_;
};

}  // namespace sboxfs::fuse
