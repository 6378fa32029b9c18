#include <cstring>

#include "sboxfs/content/cache.hpp"

namespace sboxfs {

Hash content_key(const Hash& blob, const std::vector<Patch>& patches) {
  if (patches.empty()) return blob;
  std::string name(blob.view());
  for (const Patch& patch : patches) {
    const std::uint32_t place[] = {patch.offset, static_cast<std::uint32_t>(patch.data.size())};
    name.append(reinterpret_cast<const char*>(place), sizeof place);
    name += patch.data;
  }
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
