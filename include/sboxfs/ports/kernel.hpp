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
  /// Called once by each thread that does nothing but notify, before its first notification. What such a thread waits
  /// for can only be answered by this process: the implementation sees to it that it does not outlive the process.
  virtual void begin_thread() {}

  // Of the next four: whether the kernel had it. A name of a directory that the kernel knows is taken back after all
  // look-ups and listings that were under way in the directory have ended there (they hold its lock).

  /// The name's dentry, positive or negative, is looked up again at its next use; the dentry stays.
  virtual bool expire_entry(Ino parent, const std::string& name) = 0;
  /// The name's dentry goes: also who is looking it up again right now can not revive it. Not for directories (they
  /// would no longer be found by those who work in them).
  virtual bool drop_entry(Ino parent, const std::string& name) = 0;
  /// The inode's attributes, and, when `length` >= 0, its pages in [offset, offset + length) (0: to the end).
  /// Dirty mapped pages are written back first. For a directory: its listing.
  virtual bool inval_inode(Ino ino, std::int64_t offset, std::int64_t length) = 0;
  /// Attributes only.
  virtual bool inval_attr(Ino ino) = 0;
  /// Every dentry, also those nobody here knows of, is looked up again at its next use (kernels without
  /// FUSE_NOTIFY_INC_EPOCH ignore it).
  virtual void expire_all() = 0;
};

}  // namespace sboxfs
