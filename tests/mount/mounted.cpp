#include "mounted.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "eventually.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs::test {
namespace {

constexpr std::uint64_t kInosAtOnce = 200'000;

void must(const Status& status, const char* what) {
  if (!status.ok()) throw std::runtime_error(cat(what, ": errno ", status.code(), " ", status.error().what));
}

SandboxFacts opened(FakeStore& store) {
  store.session_opened();
  Result<SandboxFacts> facts = store.facts();
  if (!facts.ok()) throw std::runtime_error("facts");
  return *facts;
}

}  // namespace

Status LastComes::acquire() {
  {
    MutexLock lock(state_.mu);
    if (state_.writable) return {};
  }
  const Epoch epoch = store_.take_epoch();
  SBOXFS_TRY(adoption_.check());
  const Ino first = store_.reserve_inos(kInosAtOnce);
  MutexLock lock(state_.mu);
  state_.epoch = epoch;
  state_.next_ino = first;
  state_.end_ino = first + kInosAtOnce;
  state_.writable = true;
  return {};
}

Status LastComes::more_inos() {
  const Ino first = store_.reserve_inos(kInosAtOnce);
  MutexLock lock(state_.mu);
  state_.next_ino = first;
  state_.end_ino = first + kInosAtOnce;
  return {};
}

Mounted::Mounted(FakeStore& fake_store, FuseOptions options, FetcherLimits limits)
    : Mounted(fake_store, own_rows_, own_redis_, std::move(options), limits) {}

Mounted::Mounted(FakeStore& fake_store, FakeLockRows& lock_rows, FakeRedis& redis, FuseOptions options,
                 FetcherLimits limits)
    : store(fake_store), state(opened(fake_store)), bus(redis), lock_store(lock_rows, self) {
  options.mount_point = directory_.path();
  options.name = "test";
  Result<std::unique_ptr<FuseServer>> mounted = FuseServer::mount(options, state);
  if (!mounted.ok()) throw std::runtime_error(mounted.error().what);
  server = std::move(*mounted);
  state.cacheable = true;
  notifier.emplace(state.replies, *server, [this](Ino ino) -> std::optional<Ino> {
    MutexLock lock(state.mu);
    if (state.tree.lookups(ino) == 0) return std::nullopt;
    const Inode* inode = state.tree.peek(ino);
    return inode == nullptr ? 0 : inode->parent;
  });
  server->on_end_differs = [this](Ino ino) {
    Delta delta;
    delta.inodes.push_back({ino, kChangedAttr | kChangedData, {Range{0, kMaxFileSize}}});
    notifier->submit(std::move(delta));
  };
  adoption.emplace(state, store,
                   AdoptionEvents{[this](const Dropped& dropped) { notifier->submit(dropped); },
                                  [this](const Delta& everything) { notifier->submit_all(everything); },
                                  [](const std::vector<Ino>&) {}, [] {}});
  fetcher.emplace(state, store, *adoption, cache, limits);
  committer.emplace(state, store, cache, clock, CommitterOptions{}, CommitEvents{});
  access.emplace(store, state, *adoption);
  vfs.emplace(state, *fetcher, cache, *committer, *access, clock, VfsOptions{});
  LockHooks hooks;
  hooks.dirty = [this] {
    MutexLock lock(state.mu);
    return !state.journal.empty() || state.journal.in_flight();
  };
  hooks.commit = [this] { return committer->sync(); };
  hooks.refresh = [this](const LockAnswer&) -> Status {
    {
      MutexLock lock(state.mu);
      if (state.writable) return {};
    }
    SBOXFS_TRY(adoption->check());
    return notifier->wait(notifier->newest(), 10 * kSecondNs) ? Status() : fail(EIO);
  };
  hooks.lost = [this](const std::vector<LockTarget>& gone) {
    Delta files;
    for (const LockTarget& target : gone)
      files.inodes.push_back({target.ino, kChangedAttr | kChangedData, {Range{0, kMaxFileSize}}});
    notifier->submit(std::move(files));
  };
  locks.emplace(lock_store, bus, clock, self, LockOptions{}, std::move(hooks));
  if (!options.local_lock) vfs->locks = &*locks;
  Bus::Listener listener;
  listener.on_news = [this](const News& news) {
    if (news.session != self) locks->on_news();
  };
  bus.listen(std::move(listener));
  bus.start();
  notifier->start();
  committer->start();
  locks->start();
  serving_ = std::thread([this] {
    server->serve(*vfs);
    ended_ = true;
  });
}

Mounted::~Mounted() {
  store.let_loads_go();
  store.let_commits_go();
  server->stop();
  serving_.join();
  locks->stop();
  bus.stop();
  committer->stop(true);
  notifier->stop();
  server.reset();
  store.session_closed();
}

void Mounted::give_up_lease() {
  for (;;) {
    must(committer->sync(), "sync");
    MutexLock lock(state.mu);
    if (!state.journal.empty() || state.journal.in_flight()) continue;
    state.writable = false;
    return;
  }
}

void Mounted::adopt() {
  must(adoption->check(), "adopt");
  if (!notifier->wait(notifier->newest(), 10 * kSecondNs)) throw std::runtime_error("the kernel was not told in time");
}

void Mounted::set_cacheable(bool on) {
  state.cacheable = on;
  Delta everything;
  {
    MutexLock lock(state.mu);
    everything = state.tree.everything();
  }
  const std::uint64_t ticket = notifier->submit_all(everything);
  if (!notifier->wait(ticket, 10 * kSecondNs)) throw std::runtime_error("the kernel was not told in time");
}

std::uint64_t Mounted::requests(const std::string& kind) const {
  const auto all = server->requests();
  const auto at = all.find(kind);
  return at == all.end() ? 0 : at->second;
}

std::uint64_t Mounted::requests() const {
  std::uint64_t sum = 0;
  for (const auto& [kind, count] : server->requests()) sum += count;
  return sum;
}

Shell::Shell(const std::string& script) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) {
    ::setpgid(0, 0);
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::execl("/bin/sh", "sh", "-c", script.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::setpgid(pid_, pid_);
  ::close(ends[1]);
  out_ = ends[0];
  ::fcntl(out_, F_SETFL, O_NONBLOCK);
}

Shell::~Shell() {
  if (!done_) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  ::close(out_);
}

void Shell::read_what_is_there() {
  char buffer[65536];
  for (ssize_t got; (got = ::read(out_, buffer, sizeof buffer)) > 0;)
    output_.append(buffer, static_cast<std::size_t>(got));
}

bool Shell::ended() {
  if (done_) return true;
  read_what_is_there();
  if (::waitpid(pid_, &status_, WNOHANG) != pid_) return false;
  read_what_is_there();
  return done_ = true;
}

bool Shell::ends() {
  return eventually([this] { return ended(); });
}

void Shell::signal(int number) const { ::kill(-pid_, number); }

std::string sh(const std::string& script) {
  Shell shell(script);
  if (!shell.ends()) return shell.output() + "[hangs]";
  const int code = WIFEXITED(shell.status()) ? WEXITSTATUS(shell.status()) : 128 + WTERMSIG(shell.status());
  return code == 0 ? shell.output() : cat(shell.output(), "[exit ", code, "]");
}

}  // namespace sboxfs::test
