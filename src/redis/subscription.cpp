#include "subscription.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "sboxfs/base/log.hpp"
#include "sboxfs/redis/news.hpp"

namespace sboxfs {
namespace {

constexpr std::int64_t kFirstPause = 50 * kMillisecondNs;
constexpr std::int64_t kLastPause = 1 * kSecondNs;
constexpr std::int64_t kPingEvery = 400 * kMillisecondNs;
constexpr std::int64_t kDeadAfter = 1 * kSecondNs;

}  // namespace

Subscription::Subscription(RedisOptions options, std::string channel, Bus::Listener listener)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      listener_(std::move(listener)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

Subscription::~Subscription() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) != sizeof one) log::warn("subscription_stop: the eventfd refused");
  thread_.join();
}

bool Subscription::wait(int fd, std::int64_t ns) {
  pollfd fds[2] = {{wake_.get(), POLLIN, 0}, {fd, POLLIN, 0}};
  ::poll(fds, fd >= 0 ? 2 : 1, static_cast<int>(ns / kMillisecondNs));
  return fd >= 0 && fds[1].revents != 0;
}

Result<RedisConnection> Subscription::subscribe() const {
  SBOXFS_ASSIGN(RedisConnection connection, connect_redis(options_));
  const RedisReply reply = redis_command(connection.get(), {"SUBSCRIBE", channel_});
  if (!reply) return fail(EAGAIN, "Redis does not answer");
  if (reply->type == REDIS_REPLY_ERROR) return redis_error(*reply);
  return connection;
}

void Subscription::loop(const std::stop_token& stop) {
  std::int64_t pause = kFirstPause;
  bool told = false;
  while (!stop.stop_requested()) {
    const Result<RedisConnection> connection = subscribe();
    if (connection.ok()) {
      if (told) log::info("redis_back");
      told = false;
      pause = kFirstPause;
      connected_ = true;
      if (listener_.on_connected) listener_.on_connected();
      listen(connection->get(), stop);
      connected_ = false;
      if (!stop.stop_requested() && listener_.on_disconnected) listener_.on_disconnected();
    } else if (!told) {
      log::warn("redis_away: ", connection.error().what);
      told = true;
    }
    if (!stop.stop_requested()) wait(-1, pause);
    pause = std::min(pause * 2, kLastPause);
  }
}

void Subscription::listen(redisContext* context, const std::stop_token& stop) {
  // The first messages may have come together with the answer to SUBSCRIBE.
  if (!handle_input(context)) return;
  std::int64_t heard = clock_.monotonic_ns();
  std::int64_t pinged = heard;
  while (!stop.stop_requested()) {
    const bool input = wait(context->fd, kPingEvery / 2);
    const std::int64_t now = clock_.monotonic_ns();
    if (input) {
      if (redisBufferRead(context) != REDIS_OK || !handle_input(context)) return;
      heard = now;
    }
    if (now - heard > kDeadAfter) return;
    if (now - pinged < kPingEvery) continue;
    pinged = now;
    int done = 0;
    redisAppendCommand(context, "PING");
    while (done == 0)
      if (redisBufferWrite(context, &done) != REDIS_OK) return;
  }
}

bool Subscription::handle_input(redisContext* context) {
  for (;;) {
    void* raw = nullptr;
    if (redisReaderGetReply(context->reader, &raw) != REDIS_OK) return false;
    if (raw == nullptr) return true;
    const RedisReply reply(static_cast<redisReply*>(raw));
    if (!handle(*reply)) return false;
  }
}

bool Subscription::handle(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) return false;
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3) return true;  // a pong
  const redisReply& kind = *reply.element[0];
  const redisReply& body = *reply.element[2];
  if (kind.type != REDIS_REPLY_STRING || std::string_view(kind.str, kind.len) != "message") return true;
  if (body.type != REDIS_REPLY_STRING) return true;
  const Result<News> news = decode_news({body.str, body.len});
  if (!news.ok()) {
    log::debug("news_ignored: ", news.error().what);
    return true;
  }
  if (listener_.on_news) listener_.on_news(*news);
  return true;
}

}  // namespace sboxfs
