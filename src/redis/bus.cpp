#include "sboxfs/redis/bus.hpp"

#include "sboxfs/redis/news.hpp"
#include "subscription.hpp"

namespace sboxfs {

RedisBus::RedisBus(RedisOptions options, std::string tenant, SandboxId sandbox)
    : keys_(std::move(options), std::move(tenant)), sandbox_(sandbox) {}

RedisBus::~RedisBus() { stop(); }

Result<Version> RedisBus::publish(const News& news) {
  return keys_.publish(sandbox_, news.stamp.version, encode_news(news));
}
Status RedisBus::announce(const News& news) { return keys_.announce(sandbox_, encode_news(news)); }
Result<std::optional<Version>> RedisBus::published() { return keys_.published(sandbox_); }
Status RedisBus::lower(Version from, Version to) { return keys_.lower(sandbox_, from, to); }
Status RedisBus::erase() { return keys_.erase(sandbox_); }

void RedisBus::listen(Listener listener) { listener_ = std::move(listener); }

void RedisBus::start() {
  Listener listener = listener_;
  listener.on_connected = [this] {
    keys_.close_breaker();
    if (listener_.on_connected) listener_.on_connected();
  };
  MutexLock lock(mutex_);  // a handler that asks connected() finds it
  subscription_ =
      std::make_unique<Subscription>(keys_.options(), news_channel(keys_.tenant(), sandbox_), std::move(listener));
}

void RedisBus::stop() {
  std::unique_ptr<Subscription> last;  // its thread is joined without the mutex: a handler may call connected()
  MutexLock lock(mutex_);
  last = std::move(subscription_);
}

bool RedisBus::connected() const {
  MutexLock lock(mutex_);
  return subscription_ && subscription_->connected();
}

}  // namespace sboxfs
