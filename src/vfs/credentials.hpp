// What a request does not say about who asks, and a few rare rules need: supplementary groups and capabilities.
#pragma once

#include "sboxfs/vfs/vfs.hpp"

namespace sboxfs {

/// From /proc, of the thread `who.pid`. Of one that is gone, or lives in another PID namespace: its own group, and the
/// capabilities of root when it is root. Reads files; no Mutex held.
Credentials read_credentials(const Caller& who);

/// The same from the text of a status file (proc(5)).
Credentials parse_credentials(const Caller& who, std::string_view status);

}  // namespace sboxfs
