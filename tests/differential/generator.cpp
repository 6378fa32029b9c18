#include "generator.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

constexpr std::size_t kEnough = 120;  // objects; above that more is removed than made
constexpr std::int64_t kChunk = 128 << 10;
constexpr uid_t kUsers[] = {0, 1001, 1002, 1003, static_cast<uid_t>(-1)};
constexpr gid_t kGroups[] = {0, 1001, 2000, 3000, static_cast<gid_t>(-1)};

template <std::size_t Size>
void put(char (&to)[Size], const std::string& text) {
  std::memset(to, 0, Size);
  std::memcpy(to, text.data(), std::min(text.size(), Size - 1));
}

}  // namespace

std::string Generator::name() {
  static const char* const kNames[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  if (chance(97)) return one_of(kNames);
  return std::string(one_of(std::vector<std::size_t>{254, 255, 256}), static_cast<char>('k' + below(3)));
}

std::string Generator::existing(const Known& known) {
  const std::uint64_t which = below(10);
  const auto& list = which < 3 ? known.directories : which < 8 ? known.files : known.others;
  return list.empty() ? name() : one_of(list);
}

std::string Generator::fresh(const Known& known) {
  if (known.directories.empty() || chance(15)) return name();
  const std::string& directory = one_of(known.directories);
  // Depth is bounded: else the long names make paths that do not fit.
  if (std::count(directory.begin(), directory.end(), '/') > 3 || directory.size() > 300) return name();
  return directory + "/" + name();
}

std::string Generator::any_path(const Known& known) {
  std::string path = chance(75) ? existing(known) : fresh(known);
  const std::uint64_t twist = below(100);
  if (twist < 3) path += "/";
  if (twist == 3) path += "/.";
  if (twist == 4) path += "/" + name();
  if (twist == 5) path = "";
  return path;
}

std::int64_t Generator::position() {
  switch (below(6)) {
    case 0: return 0;
    case 1: return static_cast<std::int64_t>(below(5000));
    case 2: return static_cast<std::int64_t>(below(64)) * 4096;
    case 3:
      return std::max<std::int64_t>(
          0, kChunk * static_cast<std::int64_t>(below(3)) + static_cast<std::int64_t>(below(9)) - 4);
    default: return static_cast<std::int64_t>(below(300'000));
  }
}

std::int64_t Generator::amount() {
  switch (below(8)) {
    case 0: return static_cast<std::int64_t>(below(200'000));
    case 1: return 4096 * static_cast<std::int64_t>(1 + below(16));
    case 2: return kChunk;
    case 3: return chance(20) ? 0 : 1;
    default: return static_cast<std::int64_t>(below(9000));
  }
}

mode_t Generator::mode() {
  static const mode_t kModes[] = {0777, 0755, 0700, 0644, 0666, 01777, 02775, 02755, 04755, 06755, 0711, 0600, 02644};
  return chance(85) ? one_of(kModes) : static_cast<mode_t>(below(010000));
}

void Generator::names(Step& step, const Known& known) {
  const bool crowded = known.size() > kEnough;
  static const Op kMaking[] = {Op::mkdir, Op::mkdir, Op::mknod,  Op::symlink,
                               Op::link,  Op::link,  Op::rename, Op::rename};
  static const Op kRemoving[] = {Op::unlink, Op::unlink, Op::rmdir};
  step.op = chance(crowded ? 75 : 30) ? one_of(kRemoving) : one_of(kMaking);
  put(step.a, any_path(known));
  switch (step.op) {
    case Op::mkdir:
      if (chance(80)) put(step.a, fresh(known));
      step.mode = chance(70) ? 0777 : mode();
      break;
    case Op::mknod: {
      static const mode_t kKinds[] = {S_IFREG, S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFDIR};
      if (chance(80)) put(step.a, fresh(known));
      step.mode = one_of(kKinds) | mode();
      break;
    }
    case Op::symlink: {
      // Never "..": nothing may lead out of the two directories.
      static const char* const kTargets[] = {"a", "b/c", "d", "nothing/here", "./e", ""};
      put(step.a, fresh(known));
      put(step.b, chance(85) ? one_of(kTargets) : std::string(below(500), 'x'));
      break;
    }
    case Op::link:
      step.follow = chance(20);
      put(step.b, chance(80) ? fresh(known) : any_path(known));
      break;
    case Op::rename: {
      static const int kFlags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE};
      step.flags = one_of(kFlags);
      put(step.b, chance(50) ? fresh(known) : any_path(known));
      break;
    }
    case Op::rmdir:
      if (!known.directories.empty() && chance(70)) put(step.a, one_of(known.directories));
      break;
    default: break;
  }
  step.padded = chance(1) && step.a[0] != '\0';
}

void Generator::times(Step& step) {
  for (int i = 0; i < 2; ++i) {
    static const std::int64_t kSeconds[] = {0, 1, 86'400, 999'999'999, 5'000'000'000, -1, -1'000'000};
    step.seconds[i] = one_of(kSeconds);
    const std::uint64_t which = below(10);
    step.nanoseconds[i] = which < 2   ? UTIME_NOW
                          : which < 4 ? UTIME_OMIT
                          : which < 5 ? 1'000'000'000
                                      : static_cast<std::int64_t>(below(1'000'000'000));
  }
}

void Generator::attributes(Step& step, const Known& known) {
  static const Op kOps[] = {Op::chmod,   Op::chmod,    Op::chmod, Op::chown,  Op::chown,    Op::utimens,
                            Op::utimens, Op::truncate, Op::stat,  Op::access, Op::readlink, Op::umask};
  step.op = one_of(kOps);
  const bool by_file =
      chance(25) && (step.op == Op::chmod || step.op == Op::chown || step.op == Op::utimens || step.op == Op::truncate);
  if (by_file) {
    step.slot = slot();
  } else if (step.op != Op::umask) {
    put(step.a, any_path(known));
  }
  step.follow = chance(70);
  step.mode = mode();
  step.uid = chance(50) ? static_cast<uid_t>(-1) : one_of(kUsers);
  step.gid = one_of(kGroups);
  // Of chown(-1, -1) by a stranger FUSE's kernel side hides that it would take setgid away.
  if (step.uid == kUsers[4] && step.gid == kGroups[4]) step.gid = 2000;
  step.length = chance(95) ? position() : -1;
  if (step.op == Op::utimens) times(step);
  if (step.op == Op::access) step.flags = static_cast<int>(below(8));
  if (step.op == Op::umask) {
    static const mode_t kMasks[] = {0, 022, 027, 077, 002};
    step.mode = one_of(kMasks);
  }
}

/// An ACL as system.posix_acl_* takes it; now and then one that is not valid.
void Generator::acl(Step& step) {
  struct Entry {
    std::uint16_t tag, perm;
    std::uint32_t id;
  };
  std::vector<Entry> entries;
  const auto add = [&](std::uint16_t tag, std::uint32_t id) {
    entries.push_back({tag, static_cast<std::uint16_t>(chance(60) ? 7 : below(8)), id});
  };
  constexpr std::uint32_t kNoId = ~std::uint32_t{0};
  const bool named = chance(70);
  add(1, kNoId);
  if (named)
    for (std::uint32_t user = 1001; user <= 1003; ++user)
      if (chance(50)) add(2, user);
  add(4, kNoId);
  if (named)
    for (const std::uint32_t group : {1001U, 2000U})
      if (chance(50)) add(8, group);
  if (named || chance(20)) add(0x10, kNoId);
  add(0x20, kNoId);
  if (chance(5)) std::swap(entries.front(), entries.back());
  if (chance(3)) entries.clear();
  const std::uint32_t version = chance(98) ? 2 : 1;
  std::memcpy(step.value, &version, sizeof version);
  std::memcpy(step.value + 4, entries.data(), entries.size() * sizeof(Entry));
  step.value_size = static_cast<std::uint16_t>(4 + entries.size() * sizeof(Entry));
  put(step.name, chance(50) ? "system.posix_acl_access" : "system.posix_acl_default");
}

void Generator::xattrs(Step& step, const Known& known) {
  static const Op kOps[] = {Op::setxattr, Op::setxattr, Op::setxattr, Op::getxattr, Op::listxattr, Op::removexattr};
  static const char* const kNames[] = {
      "user.a", "user.b",   "trusted.a", "security.a", "system.posix_acl_access", "system.posix_acl_default",
      "user.",  "nothing.a"};
  step.op = one_of(kOps);
  if (chance(20)) {
    step.slot = slot();
  } else {
    put(step.a, any_path(known));
  }
  step.follow = chance(80);
  put(step.name, one_of(kNames));
  step.length = chance(80) ? 4096 : static_cast<std::int64_t>(below(20));
  if (step.op != Op::setxattr) return;
  if (chance(50)) {
    acl(step);
  } else {
    if (std::strncmp(step.name, "system", 6) == 0) put(step.name, "user.a");
    step.value_size = static_cast<std::uint16_t>(below(60));
    fill(step.value, step.value_size, random_());
  }
  static const int kFlags[] = {0, 0, 0, XATTR_CREATE, XATTR_REPLACE};
  step.flags = one_of(kFlags);
}

void Generator::open(Step& step, const Known& known) {
  step.op = Op::open;
  step.slot = slot();
  put(step.a, chance(60) && !known.files.empty() ? one_of(known.files) : any_path(known));
  static const int kAccess[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
  step.flags = one_of(kAccess);
  if (chance(40)) step.flags |= O_CREAT;
  for (const int flag : {O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_SYNC, O_NOATIME})
    if (chance(flag == O_TRUNC || flag == O_APPEND ? 15 : 7)) step.flags |= flag;
  if (chance(12)) {
    step.flags = O_RDONLY | O_DIRECTORY;
    if (!known.directories.empty()) put(step.a, one_of(known.directories));
  }
  step.mode = chance(50) ? 0666 : mode();
}

void Generator::data(Step& step, const Known&) {
  static const Op kOps[] = {Op::read,      Op::read,       Op::write, Op::write,   Op::write, Op::write,
                            Op::fallocate, Op::copy_range, Op::seek,  Op::readdir, Op::close, Op::fsync};
  step.op = one_of(kOps);
  if ((step.op == Op::fsync || step.op == Op::close) && !chance(20)) step.op = Op::write;
  step.slot = slot();
  step.offset = position();
  step.length = amount();
  step.seed = random_();
  step.positioned = chance(60);
  if (step.op == Op::fallocate) {
    static const int kModes[] = {0,
                                 FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_ZERO_RANGE,
                                 FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_PUNCH_HOLE};
    step.flags = one_of(kModes);
  }
  if (step.op == Op::copy_range) {
    step.other_slot = slot();
    step.to_offset = position();
  }
  if (step.op == Op::seek) {
    static const int kWhence[] = {SEEK_DATA, SEEK_HOLE, SEEK_DATA, SEEK_HOLE, SEEK_SET, SEEK_END, SEEK_CUR};
    step.flags = one_of(kWhence);
    if (step.flags == SEEK_END) step.offset = -step.offset;
  }
}

Step Generator::next(const Known& known) {
  Step step;
  step.worker = static_cast<std::int8_t>(chance(40) ? 0 : below(kWorkers));
  const std::uint64_t which = below(100);
  if (which < 25) {
    names(step, known);
  } else if (which < 42) {
    attributes(step, known);
  } else if (which < 53) {
    xattrs(step, known);
  } else if (which < 72) {
    open(step, known);
  } else {
    data(step, known);
  }
  return step;
}

}  // namespace sboxfs::differential
