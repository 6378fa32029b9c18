// News between sessions. Implemented by redis/ and by the tests' fakes. Nothing that arrives here is the truth.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "sboxfs/model/delta.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs {

/// One message on a sandbox's channel.
struct News {
  enum class Kind {
    version,     ///< `stamp` was committed after `previous`, under `epoch`; `delta` when it is small
    want_lease,  ///< `session` wants to write
    lease_free,  ///< the lease was given up
    refresh,     ///< `session` asks the writer to commit what it has accepted; `stamp.batch` names the question
    refreshed,   ///< the writer has, on behalf of `session`; `stamp.batch` names the question
    destroyed,   ///< the sandbox is gone
    locks        ///< `session` has let go of a lock that somebody waits for
  };
  Kind kind = Kind::version;
  Stamp stamp;
  Version previous = 0;
  Epoch epoch = 0;
  SessionId session;
  std::optional<Delta> delta;
};

/// Thread-safe. Every call returns within the call time-out (100 ms), and at once while the circuit breaker is open.
/// Errors: EAGAIN Redis is away (or the breaker is open), EACCES it refuses the password, EIO it answered an error.
class Bus {
 public:
  virtual ~Bus() = default;
  /// One Lua call: the key becomes max(key, version) (a missing, non-numeric or wrong-type key is replaced), and the
  /// news is announced. Returns the key's value afterwards.
  virtual Result<Version> publish(const News& version_news) = 0;
  /// Announces without touching the key.
  virtual Status announce(const News& news) = 0;
  /// The key's value; nothing when it is missing or not a number.
  virtual Result<std::optional<Version>> published() = 0;
  /// Puts the key back to `to` if it still is `from`.
  virtual Status lower(Version from, Version to) = 0;
  /// Deletes the key.
  virtual Status erase() = 0;

  /// Called on the subscription's thread. The handlers must not block on I/O.
  struct Listener {
    std::function<void(const News&)> on_news;
    /// The subscription was (re)established: anything may have been missed.
    std::function<void()> on_connected;
    std::function<void()> on_disconnected;
  };
  /// At most one listener; must be set before start().
  virtual void listen(Listener listener) = 0;
  virtual void start() = 0;
  /// No handler runs after this returned.
  virtual void stop() = 0;
  /// Whether the subscription is up right now.
  virtual bool connected() const = 0;
};

}  // namespace sboxfs
