#include "sboxfs/exec/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

constexpr std::array kForwarded = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
constexpr std::int64_t kTermPatienceNs = 5 * kSecondNs;

/// What the child tells before exec succeeds: where it failed and why.
struct Report {
  int stage = 0;  ///< 1 chdir, 2 exec
  int code = 0;
};

/// The terminal this process may give away: the controlling one, when this process group is in its foreground.
class Terminal {
 public:
  Terminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (fd_ && ::tcgetpgrp(fd_.get()) != ::getpgrp()) fd_.reset();
  }
  bool ours() const { return static_cast<bool>(fd_); }
  /// SIGTTOU is blocked by the caller: otherwise taking the terminal back would stop this process.
  void give_to(pid_t group) const {
    if (fd_) ::tcsetpgrp(fd_.get(), group);
  }

 private:
  UniqueFd fd_;
};

[[noreturn]] void child(const CommandRequest& request, const sigset_t& mask, int report_fd, bool terminal) {
  ::setpgid(0, 0);
  if (terminal) {
    // Parent and child both do it, whoever comes first: the command must own the terminal when it starts.
    const int tty = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (tty >= 0) ::tcsetpgrp(tty, ::getpgrp());
  }
  if (request.licence >= 0) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  Report report;
  if (::chdir(request.directory.c_str()) != 0) {
    report = {1, errno};
  } else {
    for (const auto& [name, value] : request.environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::setenv("PWD", request.directory.c_str(), 1);
    std::vector<char*> argv;
    for (const std::string& word : request.argv) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    report = {2, errno};
  }
  [[maybe_unused]] const ssize_t put = ::write(report_fd, &report, sizeof report);
  ::_exit(kExitNotFound);
}

class Run {
 public:
  Run(pid_t pid, const Terminal& terminal, int signals, int licence)
      : pid_(pid), terminal_(terminal), signals_(signals), licence_(licence) {}

  /// Until the command itself has ended. Its status in the shell's numbers.
  int wait_for_command() {
    for (;;) {
      int status = 0;
      pid_t changed = 0;
      while ((changed = ::waitpid(pid_, &status, WNOHANG | WUNTRACED)) < 0 && errno == EINTR) {
      }
      if (changed == 0) {
        next_signal(kill_at_ns_ == 0 ? -1 : 50);
        if (kill_at_ns_ != 0 && SystemClock().monotonic_ns() >= kill_at_ns_) ::kill(-pid_, SIGKILL);
      } else if (WIFSTOPPED(status)) {
        stop_with_it(WSTOPSIG(status));
      } else {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
    }
  }

  bool stopped() const { return stopped_; }

  void end_leftovers() {
    if (!group_alive()) return;
    ::kill(-pid_, SIGTERM);
    // A stopped process can not act upon TERM.
    ::kill(-pid_, SIGCONT);
    const std::int64_t deadline = SystemClock().monotonic_ns() + kTermPatienceNs;
    while (group_alive()) {
      const std::int64_t left = deadline - SystemClock().monotonic_ns();
      if (left <= 0) break;
      // Not every process of the group need be a child of this one, so the wait is also cut into pieces.
      next_signal(static_cast<int>(std::min<std::int64_t>(left / kMillisecondNs + 1, 50)));
    }
    if (!group_alive()) return;
    ::kill(-pid_, SIGKILL);
    while (group_alive()) next_signal(50);
  }

 private:
  bool group_alive() const {
    while (::waitpid(-pid_, nullptr, WNOHANG) > 0) {
    }
    return ::kill(-pid_, 0) == 0;
  }

  /// Waits for one signal, at most `timeout_ms`, and passes it on.
  void next_signal(int timeout_ms) {
    pollfd wait[2] = {{signals_, POLLIN, 0}, {licence_, POLLIN | POLLRDHUP, 0}};
    if (::poll(wait, 2, timeout_ms) <= 0) return;
    if (wait[1].revents != 0) stop_it();
    if (wait[0].revents == 0) return;
    signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo != SIGCHLD) ::kill(-pid_, static_cast<int>(info.ssi_signo));
  }

  void stop_it() {
    stopped_ = true;
    licence_ = -1;  // poll(2) passes over it
    kill_at_ns_ = SystemClock().monotonic_ns() + kTermPatienceNs;
    ::kill(-pid_, SIGTERM);
    ::kill(-pid_, SIGCONT);
  }

  void stop_with_it(int number) const {
    terminal_.give_to(::getpgrp());
    ::raise(number == SIGTSTP || number == SIGTTIN || number == SIGTTOU ? SIGSTOP : number);
    // Here again after SIGCONT.
    terminal_.give_to(pid_);
    ::kill(-pid_, SIGCONT);
  }

  pid_t pid_;
  const Terminal& terminal_;
  int signals_;
  int licence_;
  bool stopped_ = false;
  std::int64_t kill_at_ns_ = 0;
};

}  // namespace

Result<CommandOutcome> run_command(const CommandRequest& request) {
  sigset_t watched;
  sigset_t before;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTTOU);
  for (const int number : kForwarded) sigaddset(&watched, number);
  ::sigprocmask(SIG_BLOCK, &watched, &before);
  ::signal(SIGCHLD, SIG_DFL);
  sigdelset(&watched, SIGTTOU);
  const UniqueFd signals(::signalfd(-1, &watched, SFD_CLOEXEC));
  // Orphans of the command come here, so that the group's end can be waited for.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::array<int, 2> ends{};
  if (!signals || ::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, "can not start the command");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const Terminal terminal;
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno, "can not start the command");
  if (pid == 0) child(request, before, write_end.get(), terminal.ours());
  ::setpgid(pid, pid);
  terminal.give_to(pid);
  write_end.reset();

  Report report;
  ssize_t got = 0;
  while ((got = ::read(read_end.get(), &report, sizeof report)) < 0 && errno == EINTR) {
  }
  Run run(pid, terminal, signals.get(), request.licence);
  CommandOutcome outcome;
  outcome.status = run.wait_for_command();
  terminal.give_to(::getpgrp());
  if (got == sizeof report && report.stage == 1) return fail(report.code, cat("can not enter ", request.directory));
  if (got == sizeof report) {
    const bool missing = report.code == ENOENT || report.code == ENOTDIR;
    outcome.status = missing ? kExitNotFound : kExitNotExecutable;
    outcome.problem = cat(request.argv.front(), missing ? ": command not found" : ": can not be executed");
  }
  outcome.stopped = run.stopped();
  if (!request.leave || outcome.stopped) run.end_leftovers();
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return outcome;
}

}  // namespace sboxfs
