// Does the calls on one side: the mount or the local directory.
#pragma once

#include <array>

#include "step.hpp"

namespace sboxfs::differential {

/// One worker's view of one side.
struct Side {
  int root = -1;  ///< descriptor of the directory all paths start from
  std::array<int, kSlots> files;
  Side() { files.fill(-1); }
};

Outcome perform(Side& side, const Step& step);
void close_files(Side& side);

}  // namespace sboxfs::differential
