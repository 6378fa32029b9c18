#include "sboxfs/services/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <filesystem>
#include <utility>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/base/users.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {
namespace {

// Runs in the child between fork and exec; only async-signal-safe calls. Reports errno through `report`.
[[noreturn]] void become(const std::vector<char*>& argv, const Program& program, const ServiceUser& user, int output,
                         bool detach, int report) {
  const auto give_up = [&report] {
    const int code = errno;
    [[maybe_unused]] const ssize_t put = ::write(report, &code, sizeof code);
    ::_exit(127);
  };
  if (detach) ::setsid();
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) ::signal(number, SIG_DFL);
  const int input = ::open("/dev/null", O_RDONLY);
  if (input < 0 || ::dup2(input, 0) < 0) give_up();
  if (output >= 0 && (::dup2(output, 1) < 0 || ::dup2(output, 2) < 0)) give_up();
  if (output < 0 && ::dup2(2, 1) < 0) give_up();
  ::umask(077);
  if (user.is_another() && (::setgroups(0, nullptr) != 0 || ::setgid(user.gid) != 0 || ::setuid(user.uid) != 0))
    give_up();
  if (::chdir(program.cwd.c_str()) != 0) give_up();
  // Everything else goes: an inherited lock or pipe would outlive its owner in the server.
  if (report != 3 && ::dup3(report, 3, O_CLOEXEC) < 0) give_up();
  report = 3;
  ::syscall(SYS_close_range, 4U, UINT_MAX, 0);
  ::execv(argv[0], argv.data());
  give_up();
  ::_exit(127);
}

Result<pid_t> launch(const Program& program, const ServiceUser& user, bool detach) {
  UniqueFd output;
  if (!program.output.empty()) {
    output.reset(::open(program.output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!output) return fail(errno, cat("can not write ", program.output));
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(errno, "can not make a pipe");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::vector<char*> argv;
  for (const std::string& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return fail(errno, "can not start a process");
  if (pid == 0) become(argv, program, user, output.get(), detach, write_end.get());
  write_end.reset();
  int code = 0;
  ssize_t got = 0;
  while ((got = ::read(read_end.get(), &code, sizeof code)) < 0 && errno == EINTR) {
  }
  if (got == sizeof code) {
    ::waitpid(pid, nullptr, 0);
    return fail(code, cat("can not run ", program.argv[0], " as ", user.name));
  }
  return pid;
}

}  // namespace

Result<ServiceUser> ServiceUser::find() {
  if (::geteuid() != 0) {
    const auto me = find_user(::geteuid());
    return ServiceUser{me ? me->name : cat("uid ", ::geteuid()), ::geteuid(), ::getegid()};
  }
  for (const char* name : {"postgres", "nobody"}) {
    if (const auto user = find_user(std::string(name))) return ServiceUser{name, user->uid, user->gid};
  }
  return fail(ENOENT, "there is no user 'postgres' nor 'nobody' to run the private services as");
}

bool ServiceUser::is_another() const { return uid != ::geteuid(); }

Result<int> run_program(const Program& program, const ServiceUser& user) {
  SBOXFS_ASSIGN(const pid_t pid, launch(program, user, false));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return fail(errno, cat("can not wait for ", program.argv[0]));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<pid_t> start_program(const Program& program, const ServiceUser& user) { return launch(program, user, true); }

RunningProcess::RunningProcess(RunningProcess&& other) noexcept : pid_(other.pid_), fd_(std::exchange(other.fd_, -1)) {}

RunningProcess& RunningProcess::operator=(RunningProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(fd_, other.fd_);
  return *this;
}

RunningProcess::~RunningProcess() {
  if (fd_ >= 0) ::close(fd_);
}

Result<RunningProcess> RunningProcess::find(pid_t pid, const std::string& cwd) {
  if (pid <= 0) return fail(ESRCH);
  RunningProcess found;
  found.pid_ = pid;
  found.fd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (found.fd_ < 0 || found.ended(0)) return fail(ESRCH);
  std::array<char, PATH_MAX> link{};
  const ssize_t size = ::readlink(cat("/proc/", pid, "/cwd").c_str(), link.data(), link.size());
  if (size < 0 || std::string_view(link.data(), static_cast<std::size_t>(size)) != cwd) return fail(ESRCH);
  return found;
}

Status RunningProcess::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, fd_, number, nullptr, 0) != 0) {
    return fail(errno, cat("can not signal process ", pid_));
  }
  return {};
}

bool RunningProcess::ended(int timeout_ms) const {
  pollfd wait{fd_, POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&wait, 1, timeout_ms)) < 0 && errno == EINTR) {
  }
  return ready > 0;
}

std::vector<RunningProcess> find_processes(const std::string& cwd, const std::vector<std::string>& names) {
  std::vector<RunningProcess> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    auto process = RunningProcess::find(static_cast<pid_t>(std::stol(number)), cwd);
    if (!process.ok()) continue;
    const auto comm = read_text_file(cat("/proc/", number, "/comm"));
    if (!comm.ok()) continue;
    for (const std::string& name : names) {
      if (comm->compare(0, name.size(), name) != 0) continue;
      found.push_back(std::move(process).value());
      break;
    }
  }
  return found;
}

}  // namespace sboxfs
