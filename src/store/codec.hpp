// How a blob's bytes are kept. codec 0: as they are; 1: one zstd frame (RFC 8878).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs::store_detail {

struct Packed {
  std::int32_t codec = 0;
  std::string bytes;  ///< empty with codec 0: the plain bytes are to be stored
};

/// Compresses what is at least 4 KiB long, if that saves more than an eighth.
Packed pack(std::string_view plain);
/// EIO: damaged, or a codec this program does not know.
Result<std::string> unpack(std::int32_t codec, std::string_view stored, std::uint32_t plain_size);

}  // namespace sboxfs::store_detail
