#include "guardian.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "sboxfs/base/log.hpp"

namespace sboxfs::fuse {
namespace {

// The largest WRITE (1 MiB) with its headers.
constexpr std::size_t kBufferBytes = (1U << 20) + (64U << 10);
// Requests that were under way have come by then; who comes later finds the connection closed.
constexpr int kQuietMs = 500;

/// Answers everything with ENOTCONN until nothing comes any more. After fork(): only system calls.
void refuse(int device, void* buffer) {
  pollfd fd{device, POLLIN, 0};
  while (::poll(&fd, 1, kQuietMs) > 0) {
    const ssize_t got = ::read(device, buffer, kBufferBytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) return;
    const auto* request = static_cast<const fuse_in_header*>(buffer);
    if (request->opcode == FUSE_FORGET || request->opcode == FUSE_BATCH_FORGET || request->opcode == FUSE_INTERRUPT)
      continue;
    const fuse_out_header reply{sizeof(fuse_out_header), -ENOTCONN, request->unique};
    if (::write(device, &reply, sizeof reply) < 0 && errno != ENOENT) return;
  }
}

[[noreturn]] void guard(int alive, int device, void* buffer) {
  ::prctl(PR_SET_NAME, "sboxfs-guard");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(number, SIG_IGN);
  const auto low = static_cast<unsigned>(std::min(alive, device));
  const auto high = static_cast<unsigned>(std::max(alive, device));
  if (low > 0) ::close_range(0, low - 1, 0);
  if (high > low + 1) ::close_range(low + 1, high - 1, 0);
  ::close_range(high + 1, ~0U, 0);
  char byte = 0;
  while (::read(alive, &byte, 1) < 0 && errno == EINTR) {
  }
  refuse(device, buffer);
  ::_exit(0);
}

}  // namespace

UniqueFd clone_device(int session_fd) {
  UniqueFd clone(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  auto source = static_cast<std::uint32_t>(session_fd);
  if (!clone || ::ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &source) != 0) return UniqueFd();
  return clone;
}

Guardian::Guardian(int session_fd) {
  const UniqueFd device = clone_device(session_fd);
  int ends[2];
  if (!device || ::pipe2(ends, O_CLOEXEC) != 0) {
    log::warn("guardian: /dev/fuse can not be cloned; after a kill -9 requests may hang");
    return;
  }
  const UniqueFd ear(ends[0]);
  alive_ = UniqueFd(ends[1]);
  void* buffer = ::mmap(nullptr, kBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer == MAP_FAILED) return;
  pid_ = ::fork();
  if (pid_ == 0) guard(ear.get(), device.get(), buffer);
  if (pid_ < 0) log::warn("guardian: no process could be started; after a kill -9 requests may hang");
  ::munmap(buffer, kBufferBytes);
}

Guardian::~Guardian() {
  alive_.reset();
  while (pid_ > 0 && ::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace sboxfs::fuse
