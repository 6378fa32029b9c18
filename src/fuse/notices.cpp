#include "notices.hpp"

#include <linux/fuse.h>
#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "guardian.hpp"
#include "sboxfs/base/log.hpp"

namespace sboxfs::fuse {
namespace {

// Newer than the headers of some supported systems.
constexpr int kIncEpoch = 8;
constexpr std::uint32_t kExpireOnly = 1;

struct EntryBody {
  std::uint64_t parent;
  std::uint32_t name_size;
  std::uint32_t flags;  // kernels before 6.2 ignore them
};

}  // namespace

Notices::Notices(int session_fd) : session_fd_(session_fd), clone_(clone_device(session_fd)) {}

void Notices::begin_thread() {
  if (!clone_) return;
  if (::unshare(CLONE_FILES) != 0) {
    log::warn("notices: this host does not let threads have files of their own");
    return;
  }
  const auto kept = static_cast<unsigned>(clone_.get());
  if (kept > 0) ::close_range(0, kept - 1, 0);
  ::close_range(kept + 1, ~0U, 0);
}

int Notices::send(int code, const void* body, std::size_t size, const std::string* name) {
  fuse_out_header header{};
  iovec parts[3] = {{&header, sizeof header}, {const_cast<void*>(body), size}, {nullptr, 0}};
  if (name != nullptr) parts[2] = {const_cast<char*>(name->c_str()), name->size() + 1};
  header.error = code;  // where answers have their errno; unique 0 makes it a notification
  for (const iovec& part : parts) header.len += static_cast<std::uint32_t>(part.iov_len);
  const int fd = clone_ ? clone_.get() : session_fd_;
  return ::writev(fd, parts, 3) < 0 ? errno : 0;
}

int Notices::entry(Ino parent, const std::string& name, bool expire_only) {
  const EntryBody body{parent, static_cast<std::uint32_t>(name.size()), expire_only ? kExpireOnly : 0};
  return send(FUSE_NOTIFY_INVAL_ENTRY, &body, sizeof body, &name);
}

int Notices::inode(Ino ino, std::int64_t offset, std::int64_t length) {
  const fuse_notify_inval_inode_out body{ino, offset, length};
  return send(FUSE_NOTIFY_INVAL_INODE, &body, sizeof body, nullptr);
}

int Notices::epoch() { return send(kIncEpoch, nullptr, 0, nullptr); }

}  // namespace sboxfs::fuse
