#include "tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

constexpr std::size_t kMost = 1 << 20;
std::vector<char> buffer(kMost);

[[noreturn]] void failed(const char* what, const std::string& path) {
  throw std::runtime_error(cat(what, " ", path, ": ", std::strerror(errno)));
}

class Descriptor {
 public:
  Descriptor(int root, const std::string& path, int flags) : fd_(::openat(root, path.c_str(), flags | O_CLOEXEC)) {
    if (fd_ < 0) failed("open", path);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Name {
  std::string name;
  unsigned type;
};

std::vector<Name> list(int root, const std::string& path) {
  const Descriptor directory(root, path, O_RDONLY | O_DIRECTORY);
  std::vector<Name> names;
  for (;;) {
    const long got = ::syscall(SYS_getdents64, directory.get(), buffer.data(), kMost);
    if (got < 0) failed("list", path);
    if (got == 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
        names.push_back({entry->d_name, entry->d_type});
      at += entry->d_reclen;
    }
  }
  std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) { return a.name < b.name; });
  return names;
}

std::uint64_t hash_file(int root, const std::string& path) {
  const Descriptor file(root, path, O_RDONLY | O_NOATIME);
  std::uint64_t hash = 0;
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(file.get(), buffer.data(), kMost, at);
    if (got < 0) failed("read", path);
    if (got == 0) return hash;
    hash = hash * 31 + hash_of(buffer.data(), static_cast<std::size_t>(got));
    at += got;
  }
}

std::string xattrs_of(int root, const std::string& path) {
  if (::fchdir(root) != 0) failed("chdir", path);
  char names[8192];
  const ssize_t size = ::llistxattr(path.c_str(), names, sizeof names);
  if (size < 0) failed("list attributes of", path);
  std::vector<std::string> all;
  for (const char* at = names; at < names + size; at += std::strlen(at) + 1) {
    char value[8192];
    const ssize_t got = ::lgetxattr(path.c_str(), at, value, sizeof value);
    if (got < 0) failed("read attribute of", path);
    all.push_back(cat(at, "=", got, ":", hash_of(value, static_cast<std::size_t>(got)), " "));
  }
  std::sort(all.begin(), all.end());
  std::string text;
  for (const std::string& one : all) text += one;
  return text;
}

void read_entry(int root, const std::string& path, unsigned type, Tree& tree) {
  Entry entry;
  entry.type = type;
  entry.seen = see(root, path.c_str(), false);
  if (entry.seen.error != 0) {
    errno = entry.seen.error;
    failed("stat", path);
  }
  entry.xattrs = xattrs_of(root, path);
  if (S_ISLNK(entry.seen.mode)) {
    const ssize_t got = ::readlinkat(root, path.c_str(), buffer.data(), kMost);
    if (got < 0) failed("read link", path);
    entry.target.assign(buffer.data(), static_cast<std::size_t>(got));
  }
  if (S_ISREG(entry.seen.mode)) entry.hash = hash_file(root, path);
  tree[path] = entry;
  if (!S_ISDIR(entry.seen.mode)) return;
  for (const Name& name : list(root, path))
    read_entry(root, path == "." ? name.name : path + "/" + name.name, name.type, tree);
}

void know(int root, const std::string& path, Known& known) {
  for (const Name& name : list(root, path)) {
    const std::string below = path == "." ? name.name : path + "/" + name.name;
    if (name.type == DT_DIR) {
      known.directories.push_back(below);
      know(root, below, known);
    } else {
      (name.type == DT_REG ? known.files : known.others).push_back(below);
    }
  }
}

std::string compare_entries(const Entry& local, const Entry& mounted, const Rules& rules) {
  std::string words = differences(Pair{local.seen, mounted.seen}, rules);
  if (local.type != mounted.type)
    words += cat("; type in the listing: expected ", local.type, ", found ", mounted.type);
  if (local.target != mounted.target) words += cat("; target: expected ", local.target, ", found ", mounted.target);
  if (local.xattrs != mounted.xattrs) words += cat("; attributes: expected ", local.xattrs, ", found ", mounted.xattrs);
  if (local.hash != mounted.hash) words += "; contents differ";
  return words;
}

std::string missing(const Tree& expected, const Tree& found, const char* what) {
  std::string words;
  for (const auto& [path, entry] : expected)
    if (found.count(path) == 0) words += cat(what, " ", path, "\n");
  return words;
}

/// Paths that are one object on one side are one on the other.
std::string compare_links(const Tree& local, const Tree& mounted) {
  std::map<std::uint64_t, std::uint64_t> there;
  std::map<std::uint64_t, std::uint64_t> back;
  std::string words;
  for (const auto& [path, entry] : local) {
    const auto other = mounted.find(path);
    if (other == mounted.end()) continue;
    const auto [to, fresh] = there.emplace(entry.seen.ino, other->second.seen.ino);
    const auto [from, fresh_back] = back.emplace(other->second.seen.ino, entry.seen.ino);
    if (to->second != other->second.seen.ino || from->second != entry.seen.ino)
      words += cat(path, ": hard links are not the same ones\n");
  }
  return words;
}

}  // namespace

Tree read_tree(int root) {
  Tree tree;
  read_entry(root, ".", DT_DIR, tree);
  return tree;
}

Known known_of(int root) {
  Known known;
  know(root, ".", known);
  return known;
}

std::string differences(const Tree& local, const Tree& mounted, const Rules& rules,
                        const std::map<std::uint64_t, bool>& vague_blocks) {
  std::string words = missing(local, mounted, "is missing:") + missing(mounted, local, "should not be there:");
  for (const auto& [path, entry] : local) {
    const auto other = mounted.find(path);
    if (other == mounted.end()) continue;
    Rules its = rules;
    its.compare_blocks = vague_blocks.count(other->second.seen.ino) == 0;
    if (const std::string text = compare_entries(entry, other->second, its); !text.empty())
      words += cat(path, ": ", text, "\n");
  }
  return words + compare_links(local, mounted);
}

std::string changes(const Tree& before, const Tree& after) {
  std::string words = missing(before, after, "is gone:") + missing(after, before, "is new:");
  for (const auto& [path, entry] : before) {
    const auto other = after.find(path);
    if (other == after.end()) continue;
    std::string text = compare_entries(entry, other->second, Rules{});
    const Seen& was = entry.seen;
    const Seen& is = other->second.seen;
    if (was.ino != is.ino) text += cat("; ino: was ", was.ino, ", is ", is.ino);
    if (was.blocks != is.blocks) text += cat("; blocks: were ", was.blocks, ", are ", is.blocks);
    if (was.mtime != is.mtime) text += cat("; mtime: was ", was.mtime, ", is ", is.mtime);
    if (was.ctime != is.ctime) text += cat("; ctime: was ", was.ctime, ", is ", is.ctime);
    if (!text.empty()) words += cat(path, ": ", text, "\n");
  }
  return words;
}

std::string wrong_holes(int local_root, int mounted_root, const std::string& path) {
  const Descriptor local(local_root, path, O_RDONLY | O_NOATIME);
  const Descriptor mounted(mounted_root, path, O_RDONLY | O_NOATIME);
  for (off_t at = 0;;) {
    const off_t data = ::lseek(mounted.get(), at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) failed("seek in", path);
    for (off_t hole = at;;) {
      const std::size_t most = data < 0 ? kMost : std::min(kMost, static_cast<std::size_t>(data - hole));
      const ssize_t got = most == 0 ? 0 : ::pread(local.get(), buffer.data(), most, hole);
      if (got < 0) failed("read", path);
      if (got == 0) break;
      const auto end = buffer.begin() + got;
      const auto found = std::find_if(buffer.begin(), end, [](char c) { return c != '\0'; });
      if (found != end) return cat(path, ": called a hole, but not zero at ", hole + (found - buffer.begin()));
      hole += got;
    }
    if (data < 0) return {};
    at = ::lseek(mounted.get(), data, SEEK_HOLE);
    if (at <= data) return cat(path, ": a hole at ", at, " behind data at ", data);
  }
}

}  // namespace sboxfs::differential
