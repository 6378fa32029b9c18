#include "sboxfs/redis/news.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;

namespace {

News with_delta() {
  News news;
  news.stamp = {(Version{1} << 40) + 7, Uuid::random()};
  news.previous = (Version{1} << 40) + 6;
  news.epoch = 12;
  news.session = Uuid::random();
  news.delta = Delta{{{1, "a name"}, {9, std::string("\0\xff", 2)}}, {{17, kChangedData | kChangedAttr, {{0, 4096}}}}};
  return news;
}

void check_equal(const News& a, const News& b) {
  CHECK(a.kind == b.kind);
  CHECK(a.stamp == b.stamp);
  CHECK(a.previous == b.previous);
  CHECK(a.epoch == b.epoch);
  CHECK(a.session == b.session);
  CHECK(a.delta == b.delta);
}

}  // namespace

TEST_CASE("news: every kind survives the channel") {
  using Kind = News::Kind;
  for (const Kind kind : {Kind::version, Kind::want_lease, Kind::lease_free, Kind::refresh, Kind::refreshed,
                          Kind::destroyed, Kind::locks}) {
    News news = with_delta();
    news.kind = kind;
    const Result<News> heard = decode_news(encode_news(news));
    REQUIRE(heard.ok());
    check_equal(*heard, news);
    news.delta.reset();
    const Result<News> shorter = decode_news(encode_news(news));
    REQUIRE(shorter.ok());
    check_equal(*shorter, news);
  }
}

TEST_CASE("news: an empty delta is a delta") {
  News news = with_delta();
  news.delta = Delta{};
  const Result<News> heard = decode_news(encode_news(news));
  REQUIRE(heard.ok());
  CHECK(heard->delta == Delta{});
}

TEST_CASE("news: a delta goes along only below 8 KiB") {
  News news = with_delta();
  news.delta->names = {{1, ""}};
  news.delta->inodes.clear();
  const std::size_t base = encode_delta(*news.delta).size() + 1;  // the length of a long name takes two bytes
  news.delta->names[0].name.assign(8 * 1024 - 1 - base, 'n');
  REQUIRE(encode_delta(*news.delta).size() == 8 * 1024 - 1);
  const Result<News> heard = decode_news(encode_news(news));
  REQUIRE(heard.ok());
  CHECK(heard->delta == news.delta);

  news.delta->names[0].name += 'n';
  const Result<News> without = decode_news(encode_news(news));
  REQUIRE(without.ok());
  CHECK_FALSE(without->delta);
  CHECK(without->stamp == news.stamp);
}

TEST_CASE("news: what is cut off or continued is refused") {
  const std::string bytes = encode_news(with_delta());
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK(decode_news(bytes.substr(0, size)).code() == EBADMSG);
  CHECK(decode_news(bytes + "x").code() == EBADMSG);
  News bare = with_delta();
  bare.delta.reset();
  CHECK(decode_news(encode_news(bare) + "x").code() == EBADMSG);
  CHECK(decode_news(bytes + std::string(1 << 20, '\0')).code() == EBADMSG);
}

TEST_CASE("news: forged fields are refused") {
  const std::string bytes = encode_news(with_delta());
  const auto forged = [&](std::size_t at, char value) {
    std::string out = bytes;
    out[at] = value;
    return decode_news(out).code();
  };
  CHECK(forged(0, 'S') == EBADMSG);  // the magic
  CHECK(forged(4, 7) == EBADMSG);    // the kind
  CHECK(forged(4, '\xff') == EBADMSG);
  CHECK(forged(5, 0) == EBADMSG);  // no delta, and yet there is one
  CHECK(forged(5, 2) == EBADMSG);
  CHECK(forged(13, '\x80') == EBADMSG);  // a negative version
  CHECK(forged(62, 99) == EBADMSG);      // the delta's format
  CHECK(forged(63, 127) == EBADMSG);     // more names than there are bytes
  // Whatever else is flipped yields other news or an error, never a crash.
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string out = bytes;
    out[at] = static_cast<char>(~out[at]);
    const Result<News> news = decode_news(out);
    CHECK((news.ok() || news.code() == EBADMSG));
  }
}
