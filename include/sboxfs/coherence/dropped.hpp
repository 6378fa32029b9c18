// What memory has dropped, with what is needed to make the kernel forget it for good.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sboxfs/model/delta.hpp"

namespace sboxfs {

/// What a name was in memory before it was dropped: so it may be in the kernel.
enum class NameWas : std::uint8_t {
  unknown,
  absent,  ///< at most a negative dentry
  file,    ///< anything but a directory
  directory
};

struct Dropped {
  Delta delta;
  std::vector<NameWas> names;  ///< of delta.names, in that order; shorter: the rest is unknown

  Dropped() = default;
  Dropped(Delta changes) : delta(std::move(changes)) {}  // NOLINT: a plain delta is one of which nothing more is known
};

}  // namespace sboxfs
