// What the kernel says about a process: proc(5), /proc/PID/status.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace sboxfs {

/// The whole text; empty when there is no such process (or thread).
std::string read_process_status(pid_t pid);
/// What follows `key` ("SigPnd:") on its line; empty when there is no such line.
std::string_view status_field(std::string_view status, std::string_view key);
/// Whether a signal waits for it that ends it: SIGKILL, or one that it neither catches nor ignores nor blocks and whose
/// default is not to be ignored or to stop.
bool deadly_signal_pending(std::string_view status);

}  // namespace sboxfs
