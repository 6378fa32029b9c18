// A process that goes on in the background once it is ready.
#pragma once

#include <functional>
#include <string>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// How the start ended: 0, or the exit status and the one line for the user.
struct StartOutcome {
  int exit_status = 0;
  std::string message;
};

/// The child's end. The first word counts; nothing is sent after it.
class Readiness {
 public:
  /// For a process that stays in the foreground: reports to nobody.
  Readiness() = default;
  explicit Readiness(UniqueFd pipe) : pipe_(std::move(pipe)) {}
  /// Ready: the parent returns. The process has left the terminal by then if it is in the background.
  void ready();
  void failed(const StartOutcome& outcome);
  bool background() const { return background_; }

 private:
  friend Result<StartOutcome> run_in_background(const std::function<int(Readiness&)>& body);
  void send(const StartOutcome& outcome);
  UniqueFd pipe_;
  bool background_ = false;
};

/// Forks a child in a session of its own, with "/" as working directory, that runs `body` and exits with what it
/// returns. Returns in the parent once the child has reported; a child that ends without a word is exit status 1.
/// Must be called from a process with one thread. Errors: fork's errno.
Result<StartOutcome> run_in_background(const std::function<int(Readiness&)>& body);

/// Standard input and output of a process in the background become /dev/null, its standard error `log_file`.
Status leave_terminal(const std::string& log_file);

}  // namespace sboxfs
