// Hashes, by OpenSSL and libsodium.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sboxfs {

/// A SHA-256 (FIPS 180-4) of a blob's plain bytes: the blob's name.
struct Hash {
  std::array<unsigned char, 32> bytes{};
  bool operator==(const Hash&) const = default;
  auto operator<=>(const Hash&) const = default;  // NOLINT(modernize-use-nullptr)
  /// All zero: no blob.
  bool empty() const { return *this == Hash{}; }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// For unordered containers: the digest is already uniform.
struct HashOfHash {
  std::size_t operator()(const Hash& hash) const {
    std::size_t out = 0;
    std::memcpy(&out, hash.bytes.data(), sizeof out);
    return out;
  }
};

Hash sha256(std::string_view bytes);

/// A sandbox's secret for its readdir cookies.
using NameKey = std::array<unsigned char, 16>;

/// The cookie of `name`: 63 bits of SipHash-2-4 (Aumasson, Bernstein 2012) under `key`, never below kFirstCookie,
/// so that it can serve as readdir's offset: positive, persistent, and not to be forced to collide from outside.
std::uint64_t name_cookie(const NameKey& key, std::string_view name);

/// Offsets 0, 1 and 2 of a listing are its start, "." and "..".
constexpr std::uint64_t kFirstCookie = 3;
constexpr std::uint64_t kLastCookie = (std::uint64_t{1} << 63) - 1;

/// `size` random bytes from the system's generator (getrandom(2)).
void random_bytes(void* out, std::size_t size);

}  // namespace sboxfs
