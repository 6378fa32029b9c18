// Running somebody's command as if the shell had: process group, terminal, signals, exit status.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

struct CommandRequest {
  std::vector<std::string> argv;
  std::string directory;                                         ///< working directory, absolute
  std::vector<std::pair<std::string, std::string>> environment;  ///< set in addition
  bool leave = false;                                            ///< left-over processes of the group stay
  /// When it becomes readable the command loses its licence: its group gets TERM, and KILL after 5 s. It also dies with
  /// this process. -1: none.
  int licence = -1;
};

/// How it ended, in the shell's numbers; `problem` says why a command could not be started at all (126, 127).
struct CommandOutcome {
  int status = 0;
  std::string problem;
  bool stopped = false;  ///< its licence was taken away
};

/// Exit statuses that are not the command's own.
constexpr int kExitSboxfsFailed = 125;
constexpr int kExitNotExecutable = 126;
constexpr int kExitNotFound = 127;

/// Starts the command in a process group of its own, hands it the terminal if this process has it, passes on TERM, INT,
/// HUP, QUIT, USR1, USR2 and WINCH, follows it into a stop (^Z) and out again, and waits. What is left of its group
/// then gets TERM, and KILL after 5 s, unless `leave`. The outcome is what the shell would say: the exit status, 128+N
/// by signal N, 127 not found, 126 not executable. Errors: fork's; chdir's errno for `directory`. Must be called from a
/// process with one thread: it changes signal dispositions and becomes a child subreaper.
Result<CommandOutcome> run_command(const CommandRequest& request);

}  // namespace sboxfs
