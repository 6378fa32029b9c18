#include <cstring>

#include "sboxfs/content/cache.hpp"

namespace sboxfs {

Hash content_key(Ino ino, std::uint32_t idx, const Hash& blob, const std::vector<Patch>& patches) {
  if (patches.empty()) return blob;
  std::string name(blob.view());
  const std::uint64_t numbers[] = {ino, idx, static_cast<std::uint64_t>(patches.back().version), patches.size()};
  name.append(reinterpret_cast<const char*>(numbers), sizeof numbers);
  return sha256(name);
}

std::string apply_patches(std::string blob, const std::vector<Patch>& patches) {
  for (const Patch& patch : patches) {
    const std::size_t end = patch.offset + patch.data.size();
    if (blob.size() < end) blob.resize(end);
    std::memcpy(blob.data() + patch.offset, patch.data.data(), patch.data.size());
  }
  return blob;
}

}  // namespace sboxfs
