// What the kernel has cached, taken back. Implemented by fuse/ and by the tests' fakes.
// Thread rules: calls may block behind a request in the same directory or file; so they are made by the notifier's
// pool only, never by a thread that answers requests, and never with a Mutex held.
#pragma once

#include <cstdint>
#include <string>

#include "sboxfs/model/ids.hpp"

namespace sboxfs {

class Kernel {
 public:
  virtual ~Kernel() = default;
  /// The name's dentry, positive or negative, is looked up again at its next use.
  virtual void expire_entry(Ino parent, const std::string& name) = 0;
  /// The inode's attributes, and, when `length` >= 0, its pages in [offset, offset + length) (0: to the end).
  /// Dirty mapped pages are written back first. For a directory: its listing.
  virtual void inval_inode(Ino ino, std::int64_t offset, std::int64_t length) = 0;
  /// Every dentry, also those nobody here knows of, is looked up again at its next use (kernels without
  /// FUSE_NOTIFY_INC_EPOCH ignore it).
  virtual void expire_all() = 0;
  /// Attributes only.
  virtual void inval_attr(Ino ino) = 0;
};

}  // namespace sboxfs
