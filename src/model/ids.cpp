#include "sboxfs/model/ids.hpp"

#include "sboxfs/base/hash.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

constexpr bool dash_before(std::size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Uuid Uuid::random() {
  Uuid out;
  random_bytes(out.bytes.data(), out.bytes.size());
  out.bytes[6] = static_cast<unsigned char>((out.bytes[6] & 0x0f) | 0x40);
  out.bytes[8] = static_cast<unsigned char>((out.bytes[8] & 0x3f) | 0x80);
  return out;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  Uuid out;
  std::size_t at = 0;
  for (std::size_t byte = 0; byte < out.bytes.size(); ++byte) {
    if (dash_before(byte) && (at >= text.size() || text[at++] != '-')) return fail(EINVAL, "not a UUID");
    if (at + 2 > text.size()) return fail(EINVAL, "not a UUID");
    const int high = hex_digit(text[at]);
    const int low = hex_digit(text[at + 1]);
    if (high < 0 || low < 0) return fail(EINVAL, "not a UUID");
    out.bytes[byte] = static_cast<unsigned char>(high * 16 + low);
    at += 2;
  }
  if (at != text.size()) return fail(EINVAL, "not a UUID");
  return out;
}

std::string Uuid::text() const {
  const std::string hex = to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return cat(hex.substr(0, 8), '-', hex.substr(8, 4), '-', hex.substr(12, 4), '-', hex.substr(16, 4), '-',
             hex.substr(20));
}

}  // namespace sboxfs
