// One system call of the random sequence, with everything it needs: so that a sequence can be repeated and shortened.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace sboxfs::differential {

constexpr int kSlots = 6;    // open files of a worker
constexpr int kWorkers = 4;  // processes, each its own user
constexpr int kNoSlot = -1;

enum class Op : std::uint8_t {
  open,
  close,
  mkdir,
  mknod,
  symlink,
  link,
  unlink,
  rmdir,
  rename,
  chmod,
  chown,
  truncate,
  utimens,
  setxattr,
  getxattr,
  listxattr,
  removexattr,
  stat,
  access,
  readlink,
  readdir,
  read,
  write,
  fallocate,
  copy_range,
  seek,
  fsync,
  umask
};

/// Plain memory: it travels through a shared page to the worker. With `slot` set the call takes the open file, else
/// the path `a`. Which of the other fields count depends on the call.
struct Step {
  Op op = Op::stat;
  std::int8_t worker = 0;
  std::int8_t slot = kNoSlot;
  std::int8_t other_slot = kNoSlot;
  bool follow = true;       ///< of symlinks, where the call has a choice
  bool padded = false;      ///< `a` gets so many "./" before it that it is too long
  bool positioned = false;  ///< pread/pwrite
  int flags = 0;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t offset = 0, to_offset = 0, length = 0;
  std::int64_t seconds[2] = {0, 0}, nanoseconds[2] = {0, 0};  ///< utimensat's
  std::uint64_t seed = 0;                                     ///< of the data that is written
  std::uint16_t value_size = 0;
  char a[600] = "";
  char b[600] = "";
  char name[64] = "";
  char value[160] = "";
};

/// The call as a person would write it down.
std::string describe(const Step& step);

/// What one call returned. `bytes` and `hash` are about what it read.
struct Outcome {
  std::int64_t result = 0;
  int error = 0;
  std::uint64_t bytes = 0, hash = 0;
  char start[120] = "";  ///< of what it read, as text
};

bool operator==(const Outcome& left, const Outcome& right);
std::string describe(const Outcome& outcome);

std::uint64_t hash_of(const void* data, std::size_t size);
/// The same bytes for the same seed.
void fill(char* to, std::size_t size, std::uint64_t seed);

}  // namespace sboxfs::differential
