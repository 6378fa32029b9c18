#include "sboxfs/content/cache.hpp"

namespace sboxfs {
namespace {

// The string and its control block, the list's and the index's nodes; measured with malloc's overhead in mind.
constexpr std::uint64_t kItemBytes = 256;

}  // namespace

Bytes ContentCache::get(const Hash& key) {
  MutexLock lock(mutex_);
  const auto at = index_.find(key);
  if (at == index_.end()) return nullptr;
  items_.splice(items_.begin(), items_, at->second);
  return at->second->bytes;
}

void ContentCache::put(const Hash& key, Bytes bytes) {
  MutexLock lock(mutex_);
  const auto at = index_.find(key);
  if (at != index_.end()) {
    items_.splice(items_.begin(), items_, at->second);
    return;
  }
  items_.push_front({key, std::move(bytes)});
  bytes_ += cost(items_.front());
  index_.emplace(key, items_.begin());
  shrink();
}

void ContentCache::clear() {
  MutexLock lock(mutex_);
  items_.clear();
  index_.clear();
  bytes_ = 0;
}

std::uint64_t ContentCache::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

std::uint64_t ContentCache::cost(const Item& item) { return item.bytes->capacity() + kItemBytes; }

void ContentCache::shrink() {
  // The newest stays whatever its size: its reader is about to ask for it.
  while (bytes_ > limit_ && items_.size() > 1) {
    bytes_ -= cost(items_.back());
    index_.erase(items_.back().key);
    items_.pop_back();
  }
}

}  // namespace sboxfs
