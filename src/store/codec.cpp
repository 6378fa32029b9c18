#include "codec.hpp"

#include <zstd.h>

#include "sboxfs/base/text.hpp"

namespace sboxfs::store_detail {
namespace {

constexpr std::int32_t kPlain = 0;
constexpr std::int32_t kZstd = 1;
constexpr std::size_t kSmallest = 4096;
constexpr int kLevel = 1;

}  // namespace

Packed pack(std::string_view plain) {
  if (plain.size() < kSmallest) return {};
  Packed out{kZstd, std::string(plain.size() - plain.size() / 8, '\0')};
  // The room is what would pay: zstd itself gives up when it needs more.
  const std::size_t size = ZSTD_compress(out.bytes.data(), out.bytes.size(), plain.data(), plain.size(), kLevel);
  if (ZSTD_isError(size) != 0) return {};
  out.bytes.resize(size);
  return out;
}

Result<std::string> unpack(std::int32_t codec, std::string_view stored, std::uint32_t plain_size) {
  if (codec == kPlain && stored.size() == plain_size) return std::string(stored);
  if (codec != kZstd) return fail(EIO, cat("a blob of ", stored.size(), " bytes, codec ", codec, ", is not readable"));
  std::string out(plain_size, '\0');
  const std::size_t size = ZSTD_decompress(out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != plain_size) return fail(EIO, "a blob's compressed bytes are damaged");
  return out;
}

}  // namespace sboxfs::store_detail
