#include "fake_session.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <map>
#include <stdexcept>

#include "sboxfs/base/text.hpp"

namespace sboxfs::test {
namespace {

constexpr std::uint64_t kInosAtOnce = 1000;

/// The holders of all fake stores' leases.
struct Holders {
  Mutex mutex;
  std::map<const FakeStore*, FakeSession*> of GUARDED_BY(mutex);
};
Holders& holders() {
  static Holders instance;
  return instance;
}

void must(const Status& status, const char* what) {
  if (!status.ok()) throw std::runtime_error(cat(what, ": errno ", status.code(), " ", status.error().what));
}

template <class T>
T must(Result<T> result, const char* what) {
  if (!result.ok()) throw std::runtime_error(cat(what, ": errno ", result.code(), " ", result.error().what));
  return std::move(result).value();
}

SandboxFacts opened(FakeStore& store) {
  store.session_opened();
  return must(store.facts(), "facts");
}

}  // namespace

FakeAccess::~FakeAccess() {
  MutexLock lock(holders().mutex);
  const auto at = holders().of.find(&session_.store);
  if (at != holders().of.end() && at->second == &session_) holders().of.erase(at);
}

Status FakeAccess::acquire() {
  FakeSession* before = nullptr;
  {
    MutexLock lock(holders().mutex);
    FakeSession*& holder = holders().of[&session_.store];
    before = holder;
    holder = &session_;
  }
  if (before != nullptr && before != &session_) before->give_up_lease();
  const Epoch epoch = session_.store.take_epoch();
  SBOXFS_TRY(session_.adoption.check());
  const Ino first = session_.store.reserve_inos(kInosAtOnce);
  MutexLock lock(session_.state.mu);
  session_.state.epoch = epoch;
  session_.state.next_ino = first;
  session_.state.end_ino = first + kInosAtOnce;
  session_.state.writable = true;
  return {};
}

Status FakeAccess::more_inos() {
  const Ino first = session_.store.reserve_inos(kInosAtOnce);
  MutexLock lock(session_.state.mu);
  session_.state.next_ino = first;
  session_.state.end_ino = first + kInosAtOnce;
  return {};
}

FakeSession::FakeSession(FakeStore& fake_store, VfsOptions options, FetcherLimits limits, CommitterOptions committing)
    : store(fake_store),
      state(opened(fake_store)),
      adoption(state, store,
               AdoptionEvents{
                   nullptr, nullptr,
                   [this](const std::vector<Ino>& open) { orphaned.insert(orphaned.end(), open.begin(), open.end()); },
                   nullptr}),
      fetcher(state, store, adoption, cache, limits),
      committer(state, store, cache, clock, committing, CommitEvents{}),
      vfs(state, fetcher, cache, committer, access, clock, options) {
  // Root has every capability; everybody else is in one group.
  vfs.credentials = [](const Caller& who) {
    const bool all = who.uid == 0;
    return Credentials{{who.gid}, all, all, all};
  };
  committer.start();
}

FakeSession::~FakeSession() {
  committer.stop(true);
  store.session_closed();
}

void FakeSession::sync() { must(committer.sync(), "sync"); }

void FakeSession::adopt() { must(adoption.check(), "adopt"); }

void FakeSession::give_up_lease() {
  for (;;) {
    sync();
    MutexLock lock(state.mu);
    if (!state.journal.empty() || state.journal.in_flight()) continue;
    state.writable = false;
    return;
  }
}

void FakeSession::evict() {
  MutexLock lock(state.mu);
  state.tree.evict(0);
}

Result<Found> FakeSession::find(const std::string& path) {
  SBOXFS_ASSIGN(Found found, vfs.getattr(kRootIno, nullptr));
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    std::uint64_t absent = 0;
    SBOXFS_ASSIGN(found, vfs.lookup(found.ino, path.substr(at, end - at), absent));
    vfs.forget(found.ino, 1);
    at = end + 1;
  }
  return found;
}

Ino FakeSession::write_file(Ino parent, const std::string& name, const std::string& contents) {
  Vfs::Created made = must(vfs.create(root, parent, name, 0644, O_CREAT | O_WRONLY), "create");
  bool differs = false;
  if (!contents.empty()) must(vfs.write(*made.handle, 0, contents, {}, differs), "write");
  vfs.release(std::move(made.handle));
  vfs.forget(made.found.ino, 1);
  return made.found.ino;
}

Ino FakeSession::make_dir(Ino parent, const std::string& name) {
  const Ino made = must(vfs.mkdir(root, parent, name, 0755), "mkdir").ino;
  vfs.forget(made, 1);
  return made;
}

std::unique_ptr<Handle> FakeSession::open(Ino ino, int flags) { return must(vfs.open(ino, flags), "open"); }

Result<std::string> FakeSession::read_file(Ino ino) {
  SBOXFS_ASSIGN(std::unique_ptr<Handle> handle, vfs.open(ino, O_RDONLY));
  std::string out;
  Status status;
  for (;;) {
    const auto pieces = vfs.read(*handle, out.size(), kChunkSize);
    if (!pieces.ok()) status = pieces.error();
    if (!pieces.ok() || pieces->empty()) break;
    for (const Vfs::Piece& piece : *pieces) {
      if (piece.bytes) {
        out.append(*piece.bytes, piece.from, piece.size);
      } else {
        out.append(piece.size, '\0');
      }
    }
  }
  vfs.release(std::move(handle));
  if (!status.ok()) return status.error();
  return out;
}

Result<std::vector<std::string>> FakeSession::list(Ino dir, std::size_t piece) {
  std::vector<std::string> names;
  std::uint64_t offset = 0;
  for (;;) {
    SBOXFS_ASSIGN(const std::vector<Listed> items, vfs.readdir(dir, offset, piece, false));
    if (items.empty()) return names;
    offset = items.back().next;
    for (const Listed& item : items)
      if (item.name != "." && item.name != "..") names.push_back(item.name);
  }
}

void FakeSession::describe(Ino ino, const std::string& path, std::string& out) {
  const Attr attr = must(vfs.getattr(ino, nullptr), "getattr").attr;
  out += cat(path, " ino=", ino, " mode=", attr.mode, " owner=", attr.uid, ":", attr.gid, " nlink=", attr.nlink,
             " size=", attr.size, " blocks=", attr.blocks, " rdev=", attr.rdev, " flags=", attr.flags,
             " mtime=", attr.mtime, " ctime=", attr.ctime);
  if (S_ISLNK(attr.mode)) out += " -> " + must(vfs.readlink(ino), "readlink");
  if (S_ISREG(attr.mode)) out += " data=" + to_hex(sha256(must(read_file(ino), "read")).view());
  for (const std::string& name : must(vfs.listxattr(root, ino), "listxattr"))
    out += cat(" ", name, "=", to_hex(must(vfs.getxattr(ino, name), "getxattr")));
  out += '\n';
  if (!S_ISDIR(attr.mode)) return;
  std::map<std::string, Ino> names;
  std::uint64_t offset = 0;
  for (;;) {
    const std::vector<Listed> items = must(vfs.readdir(ino, offset, 100, false), "readdir");
    if (items.empty()) break;
    offset = items.back().next;
    for (const Listed& item : items) {
      if (item.name == "..") out += cat(path, "/.. = ", item.ino, "\n");
      if (item.name != "." && item.name != "..") names.emplace(item.name, item.ino);
    }
  }
  for (const auto& [name, child] : names) describe(child, path + "/" + name, out);
}

std::string FakeSession::describe() {
  std::string out;
  describe(kRootIno, "", out);
  return out;
}

void check_committed(FakeSession& session) {
  const std::string before = session.describe();
  session.sync();
  for (const std::string& problem : session.store.problems()) FAIL_CHECK(problem);
  CHECK(session.describe() == before);
  FakeSession fresh(session.store);
  CHECK(fresh.describe() == before);
}

}  // namespace sboxfs::test
