#include "sboxfs/base/hash.hpp"

#include <openssl/sha.h>
#include <sodium.h>

namespace sboxfs {

Hash sha256(std::string_view bytes) {
  Hash out;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out.bytes.data());
  return out;
}

std::uint64_t name_cookie(const NameKey& key, std::string_view name) {
  static_assert(crypto_shorthash_KEYBYTES == std::tuple_size_v<NameKey>);
  std::uint64_t hash = 0;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), reinterpret_cast<const unsigned char*>(name.data()),
                   name.size(), key.data());
  hash &= kLastCookie;
  return hash < kFirstCookie ? hash + kFirstCookie : hash;
}

void random_bytes(void* out, std::size_t size) { randombytes_buf(out, size); }

}  // namespace sboxfs
