#include "sboxfs/base/process_status.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"

namespace sboxfs {
namespace {

constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << static_cast<unsigned>(signal - 1); }

constexpr std::uint64_t kHarmless = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGSTOP) |
                                    bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);

std::uint64_t mask(std::string_view status, std::string_view key) {
  return std::strtoull(std::string(status_field(status, key)).c_str(), nullptr, 16);
}

}  // namespace

std::string read_process_status(pid_t pid) {
  Result<std::string> text = read_text_file(cat("/proc/", pid, "/status"));
  return text.ok() ? std::move(text).value() : std::string();
}

std::string_view status_field(std::string_view status, std::string_view key) {
  std::size_t at = 0;
  while (at < status.size()) {
    const std::size_t end = std::min(status.find('\n', at), status.size());
    const std::string_view line = status.substr(at, end - at);
    if (line.substr(0, key.size()) == key) return line.substr(key.size());
    at = end + 1;
  }
  return {};
}

bool deadly_signal_pending(std::string_view status) {
  const std::uint64_t pending = mask(status, "SigPnd:") | mask(status, "ShdPnd:");
  const std::uint64_t handled = mask(status, "SigCgt:") | mask(status, "SigIgn:") | mask(status, "SigBlk:");
  return (pending & (bit(SIGKILL) | (~handled & ~kHarmless))) != 0;
}

}  // namespace sboxfs
