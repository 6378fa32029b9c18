#include "sboxfs/coherence/notifier.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/fault.hpp"

namespace sboxfs {
namespace {

constexpr unsigned kRepetitions = 2;
constexpr std::int64_t kSoonNs = 20 * kMillisecondNs;
constexpr std::int64_t kLaterNs = 500 * kMillisecondNs;

}  // namespace

Notifier::~Notifier() { stop(); }

void Notifier::start() {
  {
    MutexLock lock(mutex_);
    stopped_ = false;
  }
  dispatcher_ = std::jthread([this](std::stop_token stop) { dispatch(stop); });
  for (std::size_t i = 0; i < kWorkers; ++i)
    workers_[i] = std::jthread([this, i](std::stop_token stop) { send(stop, i); });
}

void Notifier::stop() {
  if (!dispatcher_.joinable()) return;
  dispatcher_.request_stop();
  for (std::jthread& worker : workers_) worker.request_stop();
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  dispatcher_.join();
  for (std::jthread& worker : workers_) worker.join();
  MutexLock lock(mutex_);
  for (std::deque<Job>* queue : {&jobs_, &soon_, &later_}) queue->clear();
  for (std::deque<Item>& items : items_) items.clear();
  under_way_ = 0;
  done_ = next_ticket_;
}

std::uint64_t Notifier::submit(Delta delta) { return push(std::move(delta), false); }
std::uint64_t Notifier::submit_all(Delta everything) { return push(std::move(everything), true); }

std::uint64_t Notifier::push(Delta delta, bool all) {
  MutexLock lock(mutex_);
  jobs_.push_back({std::move(delta), all, ++next_ticket_, 0, kRepetitions});
  changed_.notify_all();
  return next_ticket_;
}

std::uint64_t Notifier::newest() const {
  MutexLock lock(mutex_);
  return next_ticket_;
}

void Notifier::add(Item item) {
  items_[item.ino % kWorkers].push_back(std::move(item));
  ++under_way_;
}

void Notifier::spread(const Job& job) {
  if (job.all) add({Item::Kind::all, 0, {}, {}});
  std::unordered_set<Ino> listings;
  for (const NameChange& change : job.delta.names) {
    add({Item::Kind::name, change.parent, change.name, {}});
    if (listings.insert(change.parent).second) add({Item::Kind::listing, change.parent, {}, {}});
  }
  for (const InodeChange& change : job.delta.inodes) {
    add({Item::Kind::attr, change.ino, {}, {}});
    for (const Range& range : change.data) add({Item::Kind::data, change.ino, {}, range});
  }
}

bool Notifier::next(std::stop_token stop, Job& job) {
  const SystemClock clock;
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    std::int64_t wait_ns = kSecondNs;
    if (under_way_ == 0) {
      const std::int64_t now = clock.monotonic_ns();
      for (std::deque<Job>* queue : {&jobs_, &soon_, &later_}) {
        if (queue->empty()) continue;
        if (queue->front().due_ns <= now) {
          job = std::move(queue->front());
          queue->pop_front();
          return true;
        }
        wait_ns = std::min(wait_ns, queue->front().due_ns - now);
      }
    }
    changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
  }
  return false;
}

void Notifier::repeat_later(Job job) {
  if (job.repetitions == 0) return;
  // Pages need no second time: a READ's reply and an invalidation wait for each other on the page's lock.
  for (InodeChange& change : job.delta.inodes) change.data.clear();
  std::deque<Job>& queue = job.repetitions == kRepetitions ? soon_ : later_;
  job.due_ns = SystemClock().monotonic_ns() + (job.repetitions == kRepetitions ? kSoonNs : kLaterNs);
  job.ticket = 0;
  --job.repetitions;
  queue.push_back(std::move(job));
}

void Notifier::dispatch(std::stop_token stop) {
  Job job;
  // One job at a time: its end is the end of its ticket.
  while (next(stop, job)) {
    replies_.synchronize();
    MutexLock lock(mutex_);
    if (!fault::point("notify.skip")) spread(job);
    changed_.notify_all();
    while (under_way_ > 0 && !stop.stop_requested()) changed_.wait(lock);
    if (job.ticket != 0) done_ = job.ticket;
    repeat_later(std::move(job));
    changed_.notify_all();
  }
}

void Notifier::send(std::stop_token stop, std::size_t worker) {
  while (!stop.stop_requested()) {
    Item item;
    {
      MutexLock lock(mutex_);
      while (!stop.stop_requested() && items_[worker].empty()) changed_.wait(lock);
      if (stop.stop_requested()) return;
      item = std::move(items_[worker].front());
      items_[worker].pop_front();
    }
    deliver(item);
    MutexLock lock(mutex_);
    if (--under_way_ == 0) changed_.notify_all();
  }
}

void Notifier::deliver(const Item& item) {
  switch (item.kind) {
    case Item::Kind::name: kernel_.expire_entry(item.ino, item.name); break;
    case Item::Kind::listing: kernel_.inval_inode(item.ino, 0, 0); break;
    case Item::Kind::attr: kernel_.inval_attr(item.ino); break;
    case Item::Kind::data: {
      const bool to_end = item.range.to >= kMaxFileSize;
      kernel_.inval_inode(item.ino, static_cast<std::int64_t>(item.range.from),
                          to_end ? 0 : static_cast<std::int64_t>(item.range.to - item.range.from));
      break;
    }
    case Item::Kind::all: kernel_.expire_all(); break;
  }
}

bool Notifier::wait(std::uint64_t ticket, std::int64_t timeout_ns) {
  BlockingSection waiting;
  const SystemClock clock;
  const std::int64_t end = clock.monotonic_ns() + timeout_ns;
  MutexLock lock(mutex_);
  while (done_ < ticket && !stopped_) {
    if (clock.monotonic_ns() > end || BlockingSection::interrupted()) return false;
    changed_.wait_for(lock, std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace sboxfs
