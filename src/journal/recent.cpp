#include "sboxfs/journal/recent.hpp"

#include <algorithm>

namespace sboxfs {
namespace {
constexpr std::size_t kMaxVersions = 4096;
constexpr std::size_t kMaxWeight = 200'000;

std::size_t weight(const Delta& delta) { return 1 + delta.names.size() + delta.inodes.size(); }
}  // namespace

void Recent::add(Version version, const Delta& delta) {
  if (!changes_.empty() && changes_.back().version + 1 != version) clear();
  changes_.push_back({version, delta});
  weight_ += weight(delta);
  while (changes_.size() > kMaxVersions || (weight_ > kMaxWeight && changes_.size() > 1)) {
    weight_ -= weight(changes_.front().delta);
    changes_.pop_front();
  }
}

void Recent::clear() {
  changes_.clear();
  weight_ = 0;
}

bool Recent::knows(Version after, Version upto) const {
  if (after >= upto) return true;
  return !changes_.empty() && changes_.front().version <= after + 1 && changes_.back().version >= upto;
}

bool Recent::changed_inode(Version after, Ino ino) const {
  for (auto item = changes_.rbegin(); item != changes_.rend() && item->version > after; ++item) {
    const std::vector<InodeChange>& inodes = item->delta.inodes;
    if (std::any_of(inodes.begin(), inodes.end(), [&](const InodeChange& change) { return change.ino == ino; }))
      return true;
  }
  return false;
}

}  // namespace sboxfs
