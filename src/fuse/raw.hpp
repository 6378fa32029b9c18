// What the kernel says and libfuse does not pass on, or does not know: taken from the request before libfuse sees it.
// Layouts: linux/fuse.h. Not for libfuse's own negotiation: it would expect the longer requests where it knows them.
#pragma once

#include <fuse_lowlevel.h>

#include <cstdint>

namespace sboxfs::fuse {

/// Of one request.
struct RawFlags {
  bool kill_suidgid = false;   ///< of WRITE, OPEN, SETATTR: who asks has no CAP_FSETID (or changes the owner)
  bool acl_kill_sgid = false;  ///< of SETXATTR
  bool tmpfile = false;        ///< this CREATE was a TMPFILE: its name means nothing
};

/// The init flags we answer on our own account, as far as the kernel offers them (`offered`: fuse_init_in::flags).
std::uint32_t raw_init_flags(std::uint32_t offered);

/// Reads the flags and brings the request into the form libfuse knows: TMPFILE becomes CREATE, which has the same
/// answer; the longer SETXATTR (`agreed`: what raw_init_flags() answered) becomes the old one.
RawFlags take_raw_flags(fuse_buf& request, std::uint32_t agreed);

}  // namespace sboxfs::fuse
