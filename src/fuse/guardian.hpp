// A small process that outlives a mount's process for a moment: when that one is killed, it refuses the requests that
// nobody has read yet.
//
// Why: a thread of the killed process that waits inside a notification (notices.hpp) keeps the connection open, and it
// waits for the lock of such a request: without an answer neither would ever end.
#pragma once

#include <sys/types.h>

#include "sboxfs/base/fd.hpp"

namespace sboxfs::fuse {

/// Constructed before the connection is served; not thread-safe.
class Guardian {
 public:
  explicit Guardian(int session_fd);
  /// The process ends; returns when it has.
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

 private:
  UniqueFd alive_;  // closes with our process, however it ends
  pid_t pid_ = -1;
};

/// A descriptor of its own for the same connection; none if the host does not allow it.
UniqueFd clone_device(int session_fd);

}  // namespace sboxfs::fuse
