#include "fake_bus.hpp"

#include <algorithm>

namespace sboxfs::test {
namespace {
Error away() { return fail(EAGAIN, "Redis is away"); }
}  // namespace

void FakeRedis::go_away() {
  MutexLock lock(mutex_);
  away_ = true;
  for (FakeBus* end : ends_)
    end->enqueue([end] {
      if (end->listener_.on_disconnected) end->listener_.on_disconnected();
    });
}

void FakeRedis::come_back() {
  MutexLock lock(mutex_);
  away_ = false;
  for (FakeBus* end : ends_)
    end->enqueue([end] {
      if (end->listener_.on_connected) end->listener_.on_connected();
    });
}

void FakeRedis::lose_messages(unsigned count) {
  MutexLock lock(mutex_);
  lose_ = count;
}

void FakeRedis::set_key(std::optional<Version> key) {
  MutexLock lock(mutex_);
  key_ = key;
}

std::optional<Version> FakeRedis::key() const {
  MutexLock lock(mutex_);
  return key_;
}

void FakeRedis::say(const News& news) {
  MutexLock lock(mutex_);
  send(news);
}

std::size_t FakeRedis::publishes() const {
  MutexLock lock(mutex_);
  return publishes_;
}

std::size_t FakeRedis::attempts() const {
  MutexLock lock(mutex_);
  return attempts_;
}

std::size_t FakeRedis::lowered() const {
  MutexLock lock(mutex_);
  return lowered_;
}

std::vector<News> FakeRedis::announced() const {
  MutexLock lock(mutex_);
  return announced_;
}

void FakeRedis::send(const News& news) {
  announced_.push_back(news);
  if (lose_ > 0) {
    --lose_;
    return;
  }
  for (FakeBus* end : ends_)
    end->enqueue([end, news] {
      if (end->listener_.on_news) end->listener_.on_news(news);
    });
}

Result<Version> FakeBus::publish(const News& version_news) {
  MutexLock lock(redis_.mutex_);
  ++redis_.attempts_;
  if (redis_.away_) return away();
  ++redis_.publishes_;
  redis_.key_ = std::max(redis_.key_.value_or(0), version_news.stamp.version);
  redis_.send(version_news);
  return *redis_.key_;
}

Status FakeBus::announce(const News& news) {
  MutexLock lock(redis_.mutex_);
  if (redis_.away_) return away();
  redis_.send(news);
  return {};
}

Result<std::optional<Version>> FakeBus::published() {
  MutexLock lock(redis_.mutex_);
  if (redis_.away_) return away();
  return redis_.key_;
}

Status FakeBus::lower(Version from, Version to) {
  MutexLock lock(redis_.mutex_);
  if (redis_.away_) return away();
  if (redis_.key_ != from) return {};
  redis_.key_ = to;
  ++redis_.lowered_;
  return {};
}

Status FakeBus::erase() {
  MutexLock lock(redis_.mutex_);
  if (redis_.away_) return away();
  redis_.key_.reset();
  return {};
}

bool FakeBus::connected() const {
  MutexLock lock(redis_.mutex_);
  return !redis_.away_ && redis_.ends_.count(const_cast<FakeBus*>(this)) > 0;
}

void FakeBus::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { deliver(stop); });
  MutexLock lock(redis_.mutex_);
  redis_.ends_.insert(this);
  if (redis_.away_) return;
  enqueue([this] {
    if (listener_.on_connected) listener_.on_connected();
  });
}

void FakeBus::stop() {
  {
    MutexLock lock(redis_.mutex_);
    redis_.ends_.erase(this);
  }
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    MutexLock lock(mutex_);
    changed_.notify_all();
  }
  thread_.join();
}

void FakeBus::enqueue(std::function<void()> event) {
  MutexLock lock(mutex_);
  events_.push_back(std::move(event));
  changed_.notify_all();
}

void FakeBus::deliver(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::function<void()> event;
    {
      MutexLock lock(mutex_);
      while (events_.empty() && !stop.stop_requested()) changed_.wait(lock);
      if (stop.stop_requested()) return;
      event = std::move(events_.front());
      events_.pop_front();
    }
    event();
  }
}

}  // namespace sboxfs::test
