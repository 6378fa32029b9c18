#include "sboxfs/coherence/notifier.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "sboxfs/base/blocking.hpp"
#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/fault.hpp"

namespace sboxfs {
namespace {

// A worker more is started when all of them hang behind requests.
constexpr std::size_t kMostWorkers = 16;
constexpr std::int64_t kPatienceNs = 1 * kMillisecondNs;
// What is told again: first soon, then when even a very busy host has brought its answers home.
constexpr std::int64_t kSoonNs = 20 * kMillisecondNs;
constexpr std::int64_t kLaterNs = 500 * kMillisecondNs;
// A name nobody can have: taking it back only waits for its directory's lock.
const std::string kNoName = "/";

}  // namespace

Notifier::~Notifier() { stop(); }

void Notifier::start() {
  {
    MutexLock lock(mutex_);
    stopped_ = false;
  }
  dispatcher_ = std::jthread([this](const std::stop_token& stop) { dispatch(stop); });
}

void Notifier::stop() {
  if (!dispatcher_.joinable()) return;
  dispatcher_.request_stop();
  std::list<std::jthread> workers;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    workers.swap(workers_);
    for (std::jthread& worker : workers) worker.request_stop();
    changed_.notify_all();
    work_.notify_all();
  }
  dispatcher_.join();
  for (std::jthread& worker : workers) worker.join();
  MutexLock lock(mutex_);
  jobs_.clear();
  later_.clear();
  items_.clear();
  ready_.clear();
  under_way_.clear();
  dispatched_ = next_ticket_;
}

std::uint64_t Notifier::submit(Dropped dropped) { return push(std::move(dropped), false); }
std::uint64_t Notifier::submit_all(Delta everything) { return push(std::move(everything), true); }

std::uint64_t Notifier::push(Dropped dropped, bool all) {
  MutexLock lock(mutex_);
  jobs_.push_back({std::move(dropped), all, ++next_ticket_});
  changed_.notify_all();
  return next_ticket_;
}

std::uint64_t Notifier::newest() const {
  MutexLock lock(mutex_);
  return next_ticket_;
}

void Notifier::add(Item item) {
  if (item.ticket != 0) ++under_way_[item.ticket];
  std::deque<Item>& queue = items_[item.ino];
  // Not empty: its inode is in ready_, or being sent.
  if (queue.empty()) ready_.push_back(item.ino);
  queue.push_back(std::move(item));
}

void Notifier::spread(const Job& job) {
  if (job.all) add({Item::Kind::all, 0, {}, {}, {}, job.ticket, 0});
  std::unordered_set<Ino> listings;
  const Delta& delta = job.dropped.delta;
  for (std::size_t i = 0; i < delta.names.size(); ++i) {
    const NameWas was = i < job.dropped.names.size() ? job.dropped.names[i] : NameWas::unknown;
    add({Item::Kind::name, delta.names[i].parent, delta.names[i].name, was, {}, job.ticket, 0});
    listings.insert(delta.names[i].parent);
  }
  for (const Ino dir : listings) add({Item::Kind::listing, dir, {}, {}, {}, job.ticket, 0});
  for (const InodeChange& change : delta.inodes) {
    add({Item::Kind::attr, change.ino, {}, {}, {}, job.ticket, 0});
    for (const Range& range : change.data) add({Item::Kind::data, change.ino, {}, {}, range, job.ticket, 0});
  }
}

void Notifier::take_due() {
  const std::int64_t now = SystemClock().monotonic_ns();
  while (!later_.empty() && later_.begin()->first <= now) {
    add(std::move(later_.begin()->second));
    later_.erase(later_.begin());
  }
}

std::deque<Notifier::Job> Notifier::next_jobs(const std::stop_token& stop) {
  MutexLock lock(mutex_);
  bool patient = workers_.empty();
  for (;;) {
    take_due();
    const bool crowded = !ready_.empty() && idle_ == 0 && workers_.size() < kMostWorkers;
    if (crowded && patient && !stopped_) workers_.emplace_back([this](const std::stop_token& end) { send(end); });
    for (std::size_t i = std::min<std::size_t>(ready_.size(), idle_); i > 0; --i) work_.notify_one();
    if (stop.stop_requested() || !jobs_.empty()) return std::exchange(jobs_, {});
    std::int64_t wait_ns = kSecondNs;
    if (!later_.empty())
      wait_ns = std::clamp<std::int64_t>(later_.begin()->first - SystemClock().monotonic_ns(), 0, wait_ns);
    if (crowded) wait_ns = std::min(wait_ns, kPatienceNs);
    patient = !changed_.wait_for(lock, std::chrono::nanoseconds(wait_ns));
  }
}

void Notifier::dispatch(const std::stop_token& stop) {
  for (;;) {
    const std::deque<Job> jobs = next_jobs(stop);
    if (stop.stop_requested()) return;
    replies_.synchronize();
    MutexLock lock(mutex_);
    for (const Job& job : jobs) {
      if (!fault::point("notify.skip")) spread(job);
      dispatched_ = job.ticket;
    }
    if (under_way_.empty()) changed_.notify_all();
  }
}

void Notifier::done(std::uint64_t ticket) {
  const auto at = under_way_.find(ticket);
  if (at == under_way_.end() || --at->second > 0) return;
  under_way_.erase(at);
  changed_.notify_all();
}

void Notifier::send(const std::stop_token& stop) {
  kernel_.begin_thread();
  MutexLock lock(mutex_);
  while (!stop.stop_requested()) {
    if (ready_.empty()) {
      ++idle_;
      work_.wait(lock);
      --idle_;
      continue;
    }
    const Ino ino = ready_.front();
    ready_.pop_front();
    const Item item = items_[ino].front();
    lock.unlock();
    std::deque<Later> again = deliver(item);
    lock.lock();
    std::deque<Item>& queue = items_[ino];
    queue.pop_front();
    if (queue.empty()) {
      items_.erase(ino);
    } else {
      ready_.push_back(ino);
    }
    for (Later& later : again) {
      later_.emplace(later.due_ns, std::move(later.item));
      changed_.notify_all();
    }
    done(item.ticket);
  }
}

std::deque<Notifier::Later> Notifier::deliver(const Item& item) {
  switch (item.kind) {
    case Item::Kind::name: {
      if (item.was == NameWas::file) {
        kernel_.drop_entry(item.ino, item.name);
        return {};
      }
      const bool had = kernel_.expire_entry(item.ino, item.name);
      if (!had || item.was == NameWas::absent || item.repetitions >= 2) return {};
      Later later{SystemClock().monotonic_ns() + (item.repetitions == 0 ? kSoonNs : kLaterNs), item};
      later.item.ticket = 0;
      ++later.item.repetitions;
      return {later};
    }
    case Item::Kind::listing: kernel_.inval_inode(item.ino, 0, 0); return {};
    case Item::Kind::attr: return deliver_attr(item);
    case Item::Kind::data: {
      const bool to_end = item.range.to >= kMaxFileSize;
      kernel_.inval_inode(item.ino, static_cast<std::int64_t>(item.range.from),
                          to_end ? 0 : static_cast<std::int64_t>(item.range.to - item.range.from));
      return {};
    }
    case Item::Kind::all: kernel_.expire_all(); return {};
  }
  return {};
}

std::deque<Notifier::Later> Notifier::deliver_attr(const Item& item) {
  if (kernel_.inval_attr(item.ino)) return {};
  const std::optional<Ino> dir = told_under_ ? told_under_(item.ino) : std::nullopt;
  if (!dir) return {};
  kernel_.expire_entry(*dir, kNoName);
  if (kernel_.inval_attr(item.ino) || item.repetitions > 0) return {};
  Later later{SystemClock().monotonic_ns() + kLaterNs, item};
  later.item.ticket = 0;
  ++later.item.repetitions;
  return {later};
}

bool Notifier::wait(std::uint64_t ticket, std::int64_t timeout_ns) {
  BlockingSection waiting;
  const SystemClock clock;
  const std::int64_t end = clock.monotonic_ns() + timeout_ns;
  MutexLock lock(mutex_);
  const auto known = [&] {
    mutex_.assert_held();
    return dispatched_ >= ticket && (under_way_.empty() || under_way_.begin()->first > ticket);
  };
  while (!known() && !stopped_) {
    if (clock.monotonic_ns() > end || BlockingSection::interrupted()) return false;
    changed_.wait_for(lock, std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace sboxfs
