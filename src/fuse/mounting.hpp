// Mounting and unmounting, and what a host may forbid.
#pragma once

#include "request.hpp"

namespace sboxfs::fuse {

/// Whether this host and this user can mount here; else one sentence with the way out.
Status check_host(const FuseOptions& options);

/// A mounted session with our operations, options and INIT answer. Errors: EPERM or EIO with libfuse's own words.
Result<fuse_session*> make_session(const FuseOptions& options, Context& context);

/// Takes the mount out of the tree (lazily: open files keep working until the connection ends).
void detach(const std::string& mount_point);

}  // namespace sboxfs::fuse
