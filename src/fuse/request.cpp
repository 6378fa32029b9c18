#include "request.hpp"

#include <linux/fuse.h>

#include "sboxfs/base/process_status.hpp"

namespace sboxfs::fuse {
namespace {

thread_local Worker* current = nullptr;

// Long, because the watcher takes back exactly what changes.
constexpr double kLongSeconds = 3600;

constexpr std::int64_t kDyingNs = 250 * kMillisecondNs;
constexpr std::int64_t kPatienceNs = 5 * kSecondNs;

constexpr const char* kNames[kKinds] = {
    "lookup", "forget",          "getattr",  "setattr",   "readlink",    "mknod",       "mkdir",
    "unlink", "rmdir",           "symlink",  "rename",    "link",        "open",        "read",
    "write",  "flush",           "release",  "fsync",     "readdir",     "readdirplus", "fsyncdir",
    "statfs", "setxattr",        "getxattr", "listxattr", "removexattr", "create",      "fallocate",
    "lseek",  "copy_file_range", "setlk",    "getlk",     "flock"};

timespec time_of(std::int64_t ns) {
  std::int64_t seconds = ns / kSecondNs;
  std::int64_t rest = ns % kSecondNs;
  if (rest < 0) {
    rest += kSecondNs;
    --seconds;
  }
  return {seconds, rest};
}

}  // namespace

const char* name_of(Kind kind) { return kNames[static_cast<std::size_t>(kind)]; }

Worker& worker() { return *current; }
void set_worker(Worker* next) {
  current = next;
  set_blocking_observer(next);
}

void Worker::before_wait() {
  if (request_ == nullptr) return;
  state_.replies.leave(ticket_);
  fuse_req_interrupt_func(request_, on_interrupt, this);
  places_.leave();
}

void Worker::after_wait() {
  if (request_ == nullptr) return;
  fuse_req_interrupt_func(request_, nullptr, nullptr);
  places_.come_back();
  ticket_ = state_.replies.enter();
}

bool Worker::interrupted() const {
  if (places_.give_up()) return true;
  const std::int64_t since = interrupted_ns_;
  if (since == 0) return false;
  // Any caught signal interrupts (a timer's, a child's), but a local file system never fails with EINTR and programs
  // do not expect it: only a wait that is very long is given up for one. Who is being killed goes soon.
  const std::int64_t waited = SystemClock().monotonic_ns() - since;
  if (waited <= kDyingNs) return false;
  if (waited > kPatienceNs) return true;
  const std::string status = read_process_status(fuse_req_ctx(request_)->pid);
  return status.empty() || deadly_signal_pending(status);
}

bool we_kill(const Context& ctx) { return (ctx.agreed & FUSE_HANDLE_KILLPRIV_V2) != 0; }

void reply_status(fuse_req_t request, const Status& status) { fuse_reply_err(request, status.code()); }

struct stat stat_of(Ino ino, const Attr& attr) {
  struct stat out {};
  out.st_ino = ino;
  out.st_mode = attr.mode;
  out.st_nlink = attr.nlink;
  out.st_uid = attr.uid;
  out.st_gid = attr.gid;
  out.st_rdev = attr.rdev;
  out.st_size = static_cast<off_t>(S_ISDIR(attr.mode) ? kBlockSize : attr.size);
  out.st_blksize = kBlockSize;
  out.st_blocks = static_cast<blkcnt_t>(attr.blocks * (kBlockSize / 512));
  out.st_atim = time_of(attr.atime);
  out.st_mtim = time_of(attr.mtime);
  out.st_ctim = time_of(attr.ctime);
  return out;
}

double keep_for(const State& state, std::uint64_t generation) {
  return state.cacheable && state.generation == generation ? kLongSeconds : 0;
}

fuse_entry_param entry_of(State& state, const Found& found) {
  fuse_entry_param entry{};
  entry.ino = found.ino;
  entry.attr = stat_of(found.ino, found.attr);
  entry.attr_timeout = entry.entry_timeout = keep_for(state, found.generation);
  return entry;
}

void reply_entry(fuse_req_t request, const Result<Found>& found) {
  if (!found.ok()) {
    fuse_reply_err(request, found.code());
    return;
  }
  Context& ctx = context(request);
  const fuse_entry_param entry = entry_of(ctx.state, *found);
  // An interrupted request never reaches the kernel's tables: its count is taken back.
  if (fuse_reply_entry(request, &entry) == -ENOENT) ctx.vfs->forget(found->ino, 1);
}

void reply_attr(fuse_req_t request, const Result<Found>& found) {
  if (!found.ok()) {
    fuse_reply_err(request, found.code());
    return;
  }
  const struct stat attr = stat_of(found->ino, found->attr);
  fuse_reply_attr(request, &attr, keep_for(context(request).state, found->generation));
}

}  // namespace sboxfs::fuse
