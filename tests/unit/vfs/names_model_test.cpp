// Random operations on names, applied to the Vfs and to a real directory: same errno, same tree.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <random>

#include "fake_session.hpp"
#include "sboxfs/base/text.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

int errno_of(long result) { return result < 0 ? errno : 0; }

/// Both sides of the comparison; paths are relative ("a/b").
class Both {
 public:
  explicit Both(FakeSession& session) : session_(session) {}

  void mkdir(const std::string& path) {
    const int real = errno_of(::mkdir(at(path).c_str(), 0755));
    compare("mkdir " + path, real, on(path, [&](Ino parent, const std::string& name) {
              return counted(session_.vfs.mkdir(session_.root, parent, name, 0755));
            }));
  }
  void mknod(const std::string& path) {
    const int real = errno_of(::mknod(at(path).c_str(), S_IFREG | 0644, 0));
    compare("mknod " + path, real, on(path, [&](Ino parent, const std::string& name) {
              return counted(session_.vfs.mknod(session_.root, parent, name, S_IFREG | 0644, 0));
            }));
  }
  void unlink(const std::string& path) {
    const int real = errno_of(::unlink(at(path).c_str()));
    compare("unlink " + path, real,
            on(path, [&](Ino parent, const std::string& name) { return session_.vfs.unlink(parent, name).code(); }));
  }
  void rmdir(const std::string& path) {
    const int real = errno_of(::rmdir(at(path).c_str()));
    compare("rmdir " + path, real,
            on(path, [&](Ino parent, const std::string& name) { return session_.vfs.rmdir(parent, name).code(); }));
  }
  void link(const std::string& from, const std::string& to) {
    const int real = errno_of(::link(at(from).c_str(), at(to).c_str()));
    const Result<Found> found = session_.find(from);
    compare("link " + from + " " + to, real,
            !found.ok() ? found.code() : on(to, [&](Ino parent, const std::string& name) {
              return counted(session_.vfs.link(found->ino, parent, name));
            }));
  }
  void rename(const std::string& from, const std::string& to, unsigned flags) {
    const int real = errno_of(::syscall(SYS_renameat2, AT_FDCWD, at(from).c_str(), AT_FDCWD, at(to).c_str(), flags));
    compare(cat("rename ", from, " ", to, " ", flags), real, on(from, [&](Ino parent, const std::string& name) {
              return on(to, [&](Ino new_parent, const std::string& new_name) {
                return session_.vfs.rename(parent, name, new_parent, new_name, flags).code();
              });
            }));
  }

  /// Every name below `path` is on both sides, with the same type and links.
  void same(const std::string& path) {
    const Result<Found> found = session_.find(path);
    struct stat real {};
    REQUIRE(::lstat(at(path).c_str(), &real) == 0);
    REQUIRE(found.ok());
    INFO(path);
    CHECK((found->attr.mode & S_IFMT) == (real.st_mode & S_IFMT));
    CHECK(found->attr.nlink == real.st_nlink);
    if (!S_ISDIR(real.st_mode)) return;
    std::vector<std::string> names = session_.list(found->ino, 3).value();
    std::vector<std::string> real_names;
    for (const auto& entry : std::filesystem::directory_iterator(at(path)))
      real_names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    std::sort(real_names.begin(), real_names.end());
    REQUIRE(names == real_names);
    for (const std::string& name : names) same(path.empty() ? name : path + "/" + name);
  }
  /// Some file systems (btrfs, overlays) do not count subdirectories: nothing to compare with then.
  bool comparable() const {
    struct stat real {};
    return ::stat(dir_.path().c_str(), &real) == 0 && real.st_nlink == 2;
  }

 private:
  std::string at(const std::string& path) const { return dir_.path() + "/" + path; }

  template <class Step>
  int on(const std::string& path, Step step) {
    const std::size_t slash = path.rfind('/');
    const Result<Found> parent = session_.find(slash == std::string::npos ? "" : path.substr(0, slash));
    if (!parent.ok()) return parent.code();
    if (!S_ISDIR(parent->attr.mode)) return ENOTDIR;
    return step(parent->ino, slash == std::string::npos ? path : path.substr(slash + 1));
  }
  int counted(const Result<Found>& made) {
    if (made.ok()) session_.vfs.forget(made->ino, 1);
    return made.code();
  }
  void compare(const std::string& what, int real, int ours) {
    INFO(what);
    REQUIRE(ours == real);
  }

  FakeSession& session_;
  TempDir dir_;
};

std::string random_path(std::mt19937& random) {
  std::string path;
  for (auto depth = 1 + random() % 3; depth > 0; --depth) {
    if (!path.empty()) path += '/';
    path += static_cast<char>('a' + random() % 4);
  }
  return path;
}

void random_step(Both& both, std::mt19937& random) {
  const std::string path = random_path(random);
  switch (random() % 12) {
    case 0:
    case 1:
    case 2: return both.mkdir(path);
    case 3:
    case 4: return both.mknod(path);
    case 5: return both.unlink(path);
    case 6: return both.rmdir(path);
    case 7: return both.link(random_path(random), path);
    case 8: return both.rename(random_path(random), path, RENAME_EXCHANGE);
    case 9: return both.rename(random_path(random), path, RENAME_NOREPLACE);
    default: return both.rename(random_path(random), path, 0);
  }
}

}  // namespace

TEST_CASE("names: thousands of random operations agree with the file system below the temporary directory") {
  for (const unsigned seed : {1U, 2U, 3U}) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    FakeStore store;
    FetcherLimits limits;
    limits.directory_page = 2;
    FakeSession session(store, {}, limits);
    Both both(session);
    if (!both.comparable()) {
      MESSAGE("skipped: directories here do not count their subdirectories");
      return;
    }
    for (int step = 0; step < 3000; ++step) {
      random_step(both, random);
      if (random() % 50 == 0) session.sync();
      if (random() % 40 == 0) session.evict();
      if (step % 300 == 299) both.same("");
    }
    check_committed(session);
  }
}

TEST_CASE("names: a second session that adopts what the first one did sees the same tree") {
  std::mt19937 random(4);
  FakeStore store;
  FakeSession one(store);
  FakeSession two(store);
  Both first(one);
  if (!first.comparable()) return;
  for (int step = 0; step < 600; ++step) {
    random_step(first, random);
    if (random() % 20 == 0) {
      one.sync();
      two.adopt();
      REQUIRE(two.describe() == one.describe());
    }
  }
  check_committed(one);
  two.adopt();
  check_committed(two);
}
