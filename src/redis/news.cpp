#include "sboxfs/redis/news.hpp"

#include <algorithm>

namespace sboxfs {
namespace {

constexpr std::size_t kDeltaLimit = 8 * 1024;
constexpr std::string_view kMagic = "sbn1";

// The message: the magic, kind, whether a delta follows, then version, previous and epoch (8 bytes each, little
// endian), batch and session, and the delta as in its change row.
constexpr std::size_t kHeadSize = 4 + 1 + 1 + 3 * 8 + 2 * 16;

void put(std::string& out, std::int64_t value) {
  for (unsigned shift = 0; shift < 64; shift += 8) out += static_cast<char>(static_cast<std::uint64_t>(value) >> shift);
}

void put(std::string& out, const Uuid& id) { out.append(id.bytes.begin(), id.bytes.end()); }

std::string_view take(std::string_view& rest, std::size_t size) {
  const std::string_view out = rest.substr(0, size);
  rest.remove_prefix(size);
  return out;
}

std::int64_t take_number(std::string_view& rest) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (const char byte : take(rest, 8)) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(byte)) << shift;
    shift += 8;
  }
  return static_cast<std::int64_t>(value);
}

Uuid take_id(std::string_view& rest) {
  Uuid id;
  const std::string_view bytes = take(rest, id.bytes.size());
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

}  // namespace

std::string encode_news(const News& news) {
  std::string delta;
  if (news.delta) delta = encode_delta(*news.delta);
  if (delta.size() >= kDeltaLimit) delta.clear();
  std::string out(kMagic);
  out.reserve(kHeadSize + delta.size());
  out += static_cast<char>(news.kind);
  out += delta.empty() ? '\0' : '\1';
  put(out, news.stamp.version);
  put(out, news.previous);
  put(out, news.epoch);
  put(out, news.stamp.batch);
  put(out, news.session);
  return out += delta;
}

Result<News> decode_news(std::string_view bytes) {
  if (bytes.size() < kHeadSize || bytes.size() >= kHeadSize + kDeltaLimit)
    return fail(EBADMSG, "a message of an impossible size");
  if (take(bytes, kMagic.size()) != kMagic) return fail(EBADMSG, "a message of an unknown format");
  const auto kind = static_cast<unsigned char>(take(bytes, 1).front());
  const auto has_delta = static_cast<unsigned char>(take(bytes, 1).front());
  if (kind > static_cast<unsigned char>(News::Kind::locks)) return fail(EBADMSG, "a message of an unknown kind");
  News news;
  news.kind = static_cast<News::Kind>(kind);
  news.stamp.version = take_number(bytes);
  news.previous = take_number(bytes);
  news.epoch = take_number(bytes);
  news.stamp.batch = take_id(bytes);
  news.session = take_id(bytes);
  if (news.stamp.version < 0 || news.previous < 0 || news.epoch < 0)
    return fail(EBADMSG, "a message with a negative number");
  if (has_delta > 1 || (has_delta == 1) == bytes.empty()) return fail(EBADMSG, "a damaged message");
  if (has_delta == 1) {
    SBOXFS_ASSIGN(news.delta, decode_delta(bytes));
  }
  return news;
}

}  // namespace sboxfs
