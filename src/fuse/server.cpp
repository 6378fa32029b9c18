#include "sboxfs/fuse/server.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "guardian.hpp"
#include "loop.hpp"
#include "mounting.hpp"
#include "notices.hpp"

namespace sboxfs {

struct FuseServer::Impl {
  explicit Impl(State& state) : context(state) {}
  ~Impl() {
    loop.reset();
    notices.reset();
    if (session != nullptr) fuse_session_destroy(session);
    guardian.reset();
  }

  fuse::Context context;
  fuse_session* session = nullptr;
  std::unique_ptr<fuse::Loop> loop;
  std::optional<fuse::Notices> notices;
  std::optional<fuse::Guardian> guardian;
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
  impl->guardian.emplace(fd);
  impl->notices.emplace(fd);
  impl->loop = std::make_unique<fuse::Loop>(impl->session, fd, impl->context);
  return std::unique_ptr<FuseServer>(new FuseServer(std::move(impl)));
}

void FuseServer::serve(Vfs& vfs) {
  impl_->context.vfs = &vfs;
  impl_->context.end_differs = on_end_differs;
  impl_->context.admission = admission;
  impl_->context.atime_moved = [this](Ino ino) { inval_attr(ino); };
  impl_->loop->run();
}

void FuseServer::stop() {
  if (impl_->detached.exchange(true)) return;
  if (fuse_session_exited(impl_->session) == 0) {
    fuse::detach(impl_->mount_point);
    impl_->loop->hurry();
    write_back();  // while somebody still answers
  }
  impl_->loop->stop();
}

void FuseServer::trim() { impl_->loop->trim(); }

void FuseServer::begin_thread() { impl_->notices->begin_thread(); }

bool FuseServer::expire_entry(Ino parent, const std::string& name) {
  return impl_->notices->entry(parent, name, true) == 0;
}

bool FuseServer::drop_entry(Ino parent, const std::string& name) {
  return impl_->notices->entry(parent, name, false) == 0;
}

bool FuseServer::inval_inode(Ino ino, std::int64_t offset, std::int64_t length) {
  return impl_->notices->inode(ino, offset, length) == 0;
}

bool FuseServer::inval_attr(Ino ino) { return impl_->notices->inode(ino, -1, 0) == 0; }

void FuseServer::expire_all() {
  (void)impl_->notices->epoch();  // kernels that do not know it refuse it: the names follow one by one
}

void FuseServer::write_back() {
  std::vector<Ino> written;
  {
    State& state = impl_->context.state;
    MutexLock lock(state.mu);
    written.assign(state.open_for_writing.begin(), state.open_for_writing.end());
  }
  if (written.empty()) return;
  std::jthread([&] {
    begin_thread();
    for (const Ino ino : written) inval_inode(ino, 0, 0);
  }).join();
}

std::map<std::string, std::uint64_t> FuseServer::requests() const {
  std::map<std::string, std::uint64_t> out;
  for (std::size_t i = 0; i < fuse::kKinds; ++i)
    if (const std::uint64_t count = impl_->context.requests[i]; count > 0)
      out[fuse::name_of(static_cast<fuse::Kind>(i))] = count;
  return out;
}

}  // namespace sboxfs
