#include "sboxfs/exec/background.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "sboxfs/base/text.hpp"

namespace sboxfs {

void Readiness::ready() { send({}); }

void Readiness::failed(const StartOutcome& outcome) { send(outcome); }

void Readiness::send(const StartOutcome& outcome) {
  if (!pipe_) return;
  const std::string text = cat(outcome.exit_status, " ", outcome.message);
  // A parent that was killed meanwhile reads nothing; the mount is none the worse for it.
  [[maybe_unused]] const ssize_t put = ::write(pipe_.get(), text.data(), text.size());
  pipe_.reset();
}

Result<StartOutcome> run_in_background(const std::function<int(Readiness&)>& body) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, "can not make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno, "can not start a process");
  if (pid == 0) {
    ::close(ends[0]);
    ::setsid();
    if (::chdir("/") != 0) ::_exit(1);
    Readiness readiness(UniqueFd(write_end.release()));
    readiness.background_ = true;
    std::exit(body(readiness));
  }
  write_end.reset();
  std::string text;
  std::array<char, 1024> piece{};
  for (;;) {
    const ssize_t got = ::read(read_end.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  StartOutcome outcome;
  if (text.empty()) {
    outcome = {1, "the mount's process ended before the mount answered"};
  } else {
    const std::size_t space = text.find(' ');
    outcome = {std::atoi(text.c_str()), text.substr(space + 1)};
  }
  if (outcome.exit_status != 0) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  return outcome;
}

Status leave_terminal(const std::string& log_file) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const UniqueFd log(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!null) return fail(errno, "can not open /dev/null");
  if (!log) return fail(errno, cat("can not write the log file ", log_file));
  if (::dup2(null.get(), 0) < 0 || ::dup2(null.get(), 1) < 0 || ::dup2(log.get(), 2) < 0) {
    return fail(errno, "can not leave the terminal");
  }
  return {};
}

}  // namespace sboxfs
