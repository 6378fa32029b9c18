#include "sboxfs/fuse/server.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "loop.hpp"
#include "mounting.hpp"

namespace sboxfs {

struct FuseServer::Impl {
  explicit Impl(State& state) : context(state) {}
  ~Impl() {
    loop.reset();
    if (session != nullptr) fuse_session_destroy(session);
  }

  fuse::Context context;
  fuse_session* session = nullptr;
  std::unique_ptr<fuse::Loop> loop;
  std::string mount_point;
  std::atomic<bool> detached{false};
};

FuseServer::FuseServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

FuseServer::~FuseServer() {
  // A mount that was never served must not stay behind dead.
  if (impl_->session != nullptr && !impl_->detached && fuse_session_exited(impl_->session) == 0)
    fuse::detach(impl_->mount_point);
}

Result<std::unique_ptr<FuseServer>> FuseServer::mount(const FuseOptions& options, State& state) {
  SBOXFS_TRY(fuse::check_host(options));
  auto impl = std::make_unique<Impl>(state);
  impl->mount_point = options.mount_point;
  SBOXFS_ASSIGN(impl->session, fuse::make_session(options, impl->context));
  const int fd = fuse_session_fd(impl->session);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  impl->loop = std::make_unique<fuse::Loop>(impl->session, fd, impl->context);
  return std::unique_ptr<FuseServer>(new FuseServer(std::move(impl)));
}

void FuseServer::serve(Vfs& vfs) {
  impl_->context.vfs = &vfs;
  impl_->context.end_differs = on_end_differs;
  impl_->context.admission = admission;
  impl_->loop->run();
}

void FuseServer::stop() {
  if (impl_->detached.exchange(true)) return;
  if (fuse_session_exited(impl_->session) == 0) {
    fuse::detach(impl_->mount_point);
    impl_->loop->hurry();
    // Mapped pages are written back while somebody still answers.
    std::vector<Ino> written;
    {
      State& state = impl_->context.state;
      MutexLock lock(state.mu);
      written.assign(state.open_for_writing.begin(), state.open_for_writing.end());
    }
    for (const Ino ino : written) inval_inode(ino, 0, 0);
  }
  impl_->loop->stop();
}

void FuseServer::trim() { impl_->loop->trim(); }

void FuseServer::expire_entry(Ino parent, const std::string& name) {
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 16)
  int status = fuse_lowlevel_notify_expire_entry(impl_->session, parent, name.data(), name.size());
#else
  int status = fuse_lowlevel_notify_expire_entry(impl_->session, parent, name.data(), name.size(), FUSE_LL_EXPIRE_ONLY);
#endif
  // Older kernels only know the stronger call.
  if (status == -ENOSYS) fuse_lowlevel_notify_inval_entry(impl_->session, parent, name.data(), name.size());
}

void FuseServer::inval_inode(Ino ino, std::int64_t offset, std::int64_t length) {
  fuse_lowlevel_notify_inval_inode(impl_->session, ino, offset, length);
}

void FuseServer::expire_all() {
  // FUSE_NOTIFY_INC_EPOCH has no function in libfuse yet: a header alone, with the code where errors stand.
  constexpr int kIncEpoch = 8;
  fuse_out_header message{sizeof(fuse_out_header), kIncEpoch, 0};
  if (::write(fuse_session_fd(impl_->session), &message, sizeof message) < 0)
    log::debug("expire_all: the kernel does not know it");
}

void FuseServer::inval_attr(Ino ino) { fuse_lowlevel_notify_inval_inode(impl_->session, ino, -1, 0); }

std::map<std::string, std::uint64_t> FuseServer::requests() const {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < fuse::kKinds; ++i)
    if (const std::uint64_t count = impl_->context.requests[i]; count > 0)
      out[fuse::name_of(static_cast<fuse::Kind>(i))] = count;
  return out;
}

}  // namespace sboxfs
