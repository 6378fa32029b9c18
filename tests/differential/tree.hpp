// Whole trees, and what differs between two of them.
#pragma once

#include <map>
#include <string>

#include "generator.hpp"
#include "seen.hpp"

namespace sboxfs::differential {

struct Entry {
  Seen seen;
  unsigned type = 0;       ///< as readdir says
  std::string target;      ///< of a symlink
  std::string xattrs;      ///< names and values
  std::uint64_t hash = 0;  ///< of the contents
};

/// By path; the root is ".".
using Tree = std::map<std::string, Entry>;

/// Reads all there is below `root`, contents too. Throws when something can not be read (by root).
Tree read_tree(int root);

/// Names and types only.
Known known_of(int root);

/// What differs between the local tree and the mounted one; empty: nothing. `vague_blocks`: of these (mounted inode
/// numbers) the blocks can not be compared.
std::string differences(const Tree& local, const Tree& mounted, const Rules& rules,
                        const std::map<std::uint64_t, bool>& vague_blocks);

/// What differs between the same tree now and before (all but atime): nothing may.
std::string changes(const Tree& before, const Tree& after);

/// Whether all that the mounted file calls a hole is zero in the local one; words, or nothing.
std::string wrong_holes(int local_root, int mounted_root, const std::string& path);

}  // namespace sboxfs::differential
