// The right to write, as vfs asks for it. Implemented by lease/lease.hpp.
#pragma once

#include "sboxfs/base/result.hpp"

namespace sboxfs {

class WriteAccess {
 public:
  virtual ~WriteAccess() = default;
  /// Blocks (in a BlockingSection, no Mutex held) until State::writable is true, by taking the lease and adopting the
  /// current version. It may be false again when the caller locks State::mu: loop.
  /// Errors: EROFS a read-only mount, ESTALE destroyed, EINTR interrupted, EIO the database can not be reached.
  virtual Status acquire() = 0;
  /// Blocks until State::next_ino < State::end_ino, while the lease is held; success also when it was lost meanwhile.
  /// Errors: as acquire().
  virtual Status more_inos() = 0;
};

}  // namespace sboxfs
