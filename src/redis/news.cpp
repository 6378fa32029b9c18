#include "sboxfs/redis/news.hpp"

#include <cstring>

namespace sboxfs {
namespace {

constexpr std::size_t kLargestDelta = 8 * 1024;

/// The fixed part, in the byte order of the machines sboxfs runs on (little endian).
struct Head {
  char magic[4];
  std::uint8_t kind;
  std::uint8_t has_delta;
  std::uint8_t unused[2];
  std::int64_t version;
  std::int64_t previous;
  std::int64_t epoch;
  unsigned char batch[16];
  unsigned char session[16];
};
constexpr char kMagic[4] = {'s', 'b', 'n', '1'};

}  // namespace

std::string encode_news(const News& news) {
  Head head{};
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.kind = static_cast<std::uint8_t>(news.kind);
  head.version = news.stamp.version;
  head.previous = news.previous;
  head.epoch = news.epoch;
  std::memcpy(head.batch, news.stamp.batch.bytes.data(), sizeof head.batch);
  std::memcpy(head.session, news.session.bytes.data(), sizeof head.session);
  std::string delta;
  if (news.delta) delta = encode_delta(*news.delta);
  head.has_delta = news.delta && delta.size() <= kLargestDelta ? 1 : 0;
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  if (head.has_delta != 0) out += delta;
  return out;
}

Result<News> decode_news(std::string_view bytes) {
  Head head{};
  if (bytes.size() < sizeof head) return fail(EBADMSG, "a short message");
  std::memcpy(&head, bytes.data(), sizeof head);
  if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0 ||
      head.kind > static_cast<std::uint8_t>(News::Kind::destroyed))
    return fail(EBADMSG, "a message of an unknown format");
  News news;
  news.kind = static_cast<News::Kind>(head.kind);
  news.stamp.version = head.version;
  news.previous = head.previous;
  news.epoch = head.epoch;
  std::memcpy(news.stamp.batch.bytes.data(), head.batch, sizeof head.batch);
  std::memcpy(news.session.bytes.data(), head.session, sizeof head.session);
  if (head.has_delta != 0) {
    SBOXFS_ASSIGN(news.delta, decode_delta(bytes.substr(sizeof head)));
  }
  return news;
}

}  // namespace sboxfs
