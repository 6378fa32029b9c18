// What stat(2) shows of an object on both sides, and what of it must be equal.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace sboxfs::differential {

/// Plain memory (it travels through a shared page). Times in ns.
struct Seen {
  int error = 0;  ///< why there is nothing; 0: the rest counts
  mode_t mode = 0;
  std::uint64_t ino = 0, nlink = 0, rdev = 0, size = 0, blocks = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::int64_t atime = 0, mtime = 0, ctime = 0;
};

Seen see(int root, const char* path, bool follow);
Seen see(int fd);

/// A path's or an open file's state on both sides.
struct Pair {
  Seen local, mounted;
};

struct Rules {
  bool fine_clock = true;  ///< the local file system's times tell any two steps apart
  bool compare_blocks = true;
};

/// Whether a time was set by the program and not by the clock: then it must be the same on both sides.
bool is_explicit(std::int64_t time);

/// What differs between the sides now; empty: nothing.
std::string differences(const Pair& now, const Rules& rules);
/// What differs in how a step changed the times, plus differences(after); `sets_atime`: the step set it.
std::string differences(const Pair& before, const Pair& after, bool sets_atime, const Rules& rules);

/// Whether the local file system gives two steps one after the other different times (multigrain timestamps).
bool has_fine_clock(int directory);

}  // namespace sboxfs::differential
