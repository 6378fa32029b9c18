// Starting a server as an unprivileged user, and telling whether it still runs.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// Whom the private services run as.
struct ServiceUser {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;

  /// The caller; for root `postgres` where that user exists, else `nobody`. ENOENT when neither does.
  static Result<ServiceUser> find();
  /// Whether a child has to change its ids to become this user.
  bool is_another() const;
};

/// What to run. `argv[0]` is a path. `output` (appended to, made 0600 for the user) takes stdout and stderr; empty:
/// this process's own standard error. `cwd` is where it starts.
struct Program {
  std::vector<std::string> argv;
  std::string cwd = "/";
  std::string output;
};

/// Runs the program as `user` and waits. Its exit status; 128+N when a signal ended it. Errors: fork's, exec's errno.
Result<int> run_program(const Program& program, const ServiceUser& user);
/// Starts the program as `user` in a session of its own, not waited for; it holds none of this process's descriptors.
/// Returns its pid once exec has succeeded. Errors: fork's, exec's errno.
Result<pid_t> start_program(const Program& program, const ServiceUser& user);

/// A process whose identity was checked, held by a pidfd: the number can not come to mean another process.
class RunningProcess {
 public:
  RunningProcess() = default;
  RunningProcess(RunningProcess&& other) noexcept;
  RunningProcess& operator=(RunningProcess&& other) noexcept;
  ~RunningProcess();

  /// The process `pid`, if it runs now and /proc/pid/cwd is `cwd` (both services chdir into their data directory, so
  /// a number that was given to somebody else is told apart). ESRCH otherwise.
  static Result<RunningProcess> find(pid_t pid, const std::string& cwd);

  pid_t pid() const { return pid_; }
  /// pidfd_send_signal(2).
  Status signal(int number) const;
  /// Whether it has ended, or does so within `timeout_ms`.
  bool ended(int timeout_ms) const;

 private:
  pid_t pid_ = 0;
  int fd_ = -1;
};

/// Every process whose working directory is `cwd` and whose name (/proc/pid/comm) starts with one of `names`: a data
/// directory's servers, found without trusting any pid file.
std::vector<RunningProcess> find_processes(const std::string& cwd, const std::vector<std::string>& names);

}  // namespace sboxfs
