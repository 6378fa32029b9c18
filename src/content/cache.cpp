#include "sboxfs/content/cache.hpp"

namespace sboxfs {

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
  bytes_ += bytes->size();
  items_.push_front({key, std::move(bytes)});
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

void ContentCache::shrink() {
  // The newest stays whatever its size: its reader is about to ask for it.
  while (bytes_ > limit_ && items_.size() > 1) {
    bytes_ -= items_.back().bytes->size();
    index_.erase(items_.back().key);
    items_.pop_back();
  }
}

}  // namespace sboxfs
