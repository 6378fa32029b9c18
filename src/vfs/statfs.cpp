#include <algorithm>

#include "operation.hpp"

namespace sboxfs {
namespace {
// Without a quota df shows a large empty disk: 1 PiB and 2^40 inodes.
constexpr std::uint64_t kEndlessBlocks = (std::uint64_t{1} << 50) / kBlockSize;
constexpr std::uint64_t kEndlessInodes = std::uint64_t{1} << 40;
}  // namespace

Result<FsStats> Vfs::statfs() {
  Operation op(*this);
  return op.reading([&]() -> Result<FsStats> {
    op.state.mu.assert_held();
    const Usage usage = op.state.usage;
    FsStats stats;
    stats.blocks = usage.quota_blocks > 0 ? usage.quota_blocks : kEndlessBlocks;
    stats.inodes = usage.quota_inodes > 0 ? usage.quota_inodes : kEndlessInodes;
    const Usage held = op.state.held;
    stats.free_blocks = stats.blocks - std::min(stats.blocks, usage.used_blocks + held.used_blocks);
    stats.free_inodes = stats.inodes - std::min(stats.inodes, usage.used_inodes + held.used_inodes);
    return stats;
  });
}

}  // namespace sboxfs
