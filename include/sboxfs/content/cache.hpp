// The content cache: plain bytes of blobs (and of chunks with patches applied), least recently used first out.
// Shared by the sessions of a process. Thread-safe; its mutex is a leaf of the lock order.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "sboxfs/base/hash.hpp"
#include "sboxfs/base/mutex.hpp"
#include "sboxfs/model/batch.hpp"

namespace sboxfs {

class ContentCache {
 public:
  /// Holds up to `limit` bytes: contents and what keeping them costs (small files are many).
  explicit ContentCache(std::uint64_t limit) : limit_(limit) {}

  /// The bytes under `key`, or null. Marks them used.
  Bytes get(const Hash& key) EXCLUDES(mutex_);
  void put(const Hash& key, Bytes bytes) EXCLUDES(mutex_);
  void clear() EXCLUDES(mutex_);
  std::uint64_t bytes() const EXCLUDES(mutex_);

 private:
  struct Item {
    Hash key;
    Bytes bytes;
  };
  static std::uint64_t cost(const Item& item);
  void shrink() REQUIRES(mutex_);

  const std::uint64_t limit_;
  mutable Mutex mutex_;
  std::list<Item> items_ GUARDED_BY(mutex_);  // newest first
  std::unordered_map<Hash, std::list<Item>::iterator, HashOfHash> index_ GUARDED_BY(mutex_);
  std::uint64_t bytes_ GUARDED_BY(mutex_) = 0;
};

/// The key of a chunk's contents: its blob's hash, or, with patches, a hash over that and the patches' bytes. Nothing
/// but contents goes in: the cache is shared by sandboxes, and a restored database uses versions again.
Hash content_key(const Hash& blob, const std::vector<Patch>& patches);

/// The chunk's bytes: the blob with the patches laid over it, in order.
std::string apply_patches(std::string blob, const std::vector<Patch>& patches);

}  // namespace sboxfs
