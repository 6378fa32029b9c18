// Proof of life on one host: a file per session, flocked for as long as its process lives. The kernel lets the lock go
// however the process dies, so another session of this host can tell at once that a writer is dead.
#pragma once

#include <string>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/result.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs {

class LifeLock {
 public:
  /// Makes and locks `home`/run/sessions/ID. Errors: the errno of making it.
  static Result<LifeLock> take(const std::string& home, const SessionId& session);
  LifeLock(LifeLock&&) = default;
  /// Removes the file.
  ~LifeLock();

  /// Whether that session ran on this host, under this home, and its end was not a proper one yet.
  static bool is_here(const std::string& home, const SessionId& session);
  /// Whether that session ran on this host, under this home, and is certainly dead.
  static bool is_dead(const std::string& home, const SessionId& session);

 private:
  LifeLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  UniqueFd fd_;
};

}  // namespace sboxfs
