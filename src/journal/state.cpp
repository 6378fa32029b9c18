#include "sboxfs/journal/state.hpp"

namespace sboxfs {

void State::hold(Inode& inode, std::int64_t blocks) {
  // Another session may have removed the name: then all it has is counted from now on.
  if (!inode.held) blocks = static_cast<std::int64_t>(inode.attr.blocks);
  held.add(blocks, inode.held ? 0 : 1);
  inode.held = true;
  inode.held_blocks += blocks;
}

void State::let_go(Inode& inode) {
  if (!inode.held) return;
  held.add(-inode.held_blocks, -1);
  inode.held = false;
  inode.held_blocks = 0;
}

}  // namespace sboxfs
