// Telling Redis about committed versions. A version that Redis has not acknowledged is pending; pending versions are
// tried again every drain interval, and at once when Redis is back.
#pragma once

#include <cstdint>
#include <optional>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/mutex.hpp"
#include "sboxfs/journal/committer.hpp"
#include "sboxfs/ports/bus.hpp"
#include "sboxfs/ports/sink.hpp"

namespace sboxfs {

struct PublisherOptions {
  std::int64_t drain_interval_ns = 10 * kSecondNs;
  std::int64_t record_after_ns = 1 * kSecondNs;  ///< without a commit, the acknowledged version is written to the row
};

/// Thread-safe; one thread.
class Publisher {
 public:
  Publisher(Committer& committer, Bus& bus, Sink& sink, const State& state, const Clock& clock, SessionId self,
            PublisherOptions options);
  ~Publisher();
  void start();
  void stop();

  /// The database has this change, made by this session or found unpublished. Newest wins.
  void committed(const Change& change, Version previous);
  /// Redis has acknowledged so much already (from the sandbox's row, or from its key).
  void acknowledged(Version version);
  /// The session begins anew (it was idle and away): nothing is pending, and Redis has acknowledged `acknowledged`.
  void restart(Version acknowledged);
  /// Redis is back.
  void retry_now();
  /// Waits until nothing up to `version` is pending (others publish what they commit), or `timeout_ns` has passed:
  /// false then, or at once while Redis is known to be away. In a BlockingSection.
  bool wait_published(Version version, std::int64_t timeout_ns);
  /// The end of a session: publishes what is pending, trying for `timeout_ns`, and records it in the row. EAGAIN: the
  /// outbox (published_version < version) keeps it.
  Status drain(std::int64_t timeout_ns);
  Version published() const;

 private:
  void loop(const std::stop_token& stop);
  void publish_one();
  void record();
  std::int64_t wait_ns() const REQUIRES(mutex_);

  Committer& committer_;
  Bus& bus_;
  Sink& sink_;
  const State& state_;
  const Clock& clock_;
  const SessionId self_;
  const PublisherOptions options_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::optional<News> pending_ GUARDED_BY(mutex_);
  Version published_ GUARDED_BY(mutex_) = 0;
  Version recorded_ GUARDED_BY(mutex_) = 0;
  bool away_ GUARDED_BY(mutex_) = false;  // the last try failed
  bool publishing_ GUARDED_BY(mutex_) = false;
  std::int64_t retry_ns_ GUARDED_BY(mutex_) = 0;
  std::int64_t committed_ns_ GUARDED_BY(mutex_) = 0;
  std::jthread thread_;
};

}  // namespace sboxfs
