#include "sboxfs/exec/command.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/services/home.hpp"
#include "temp_dir.hpp"

using namespace sboxfs;

namespace {

CommandRequest shell(const std::string& script, const std::string& directory = "/") {
  CommandRequest request;
  request.argv = {"sh", "-c", script};
  request.directory = directory;
  return request;
}

int status_of(const CommandRequest& request) {
  const auto outcome = run_command(request);
  REQUIRE(outcome.ok());
  return outcome->status;
}

}  // namespace

TEST_CASE("command: its exit status is passed on, and 128+N for a signal") {
  CHECK(status_of(shell("exit 0")) == 0);
  CHECK(status_of(shell("exit 7")) == 7);
  CHECK(status_of(shell("kill -TERM $$")) == 128 + SIGTERM);
  CHECK(status_of(shell("kill -KILL $$")) == 128 + SIGKILL);
}

TEST_CASE("command: not found is 127, not executable 126, and a missing directory is our own failure") {
  const test::TempDir dir;
  REQUIRE(write_text_file(dir.path() + "/plain", "x", 0644).ok());
  CommandRequest request;
  request.directory = dir.path();
  request.argv = {"no-such-command-anywhere"};
  CHECK(status_of(request) == 127);
  request.argv = {"./plain"};
  CHECK(status_of(request) == 126);
  CHECK(run_command(request)->problem == "./plain: can not be executed");
  request.directory = dir.path() + "/none";
  CHECK(run_command(request).code() == ENOENT);
}

TEST_CASE("command: it gets directory, variables and default signal handling") {
  const test::TempDir dir;
  CommandRequest request =
      shell("test \"$(pwd)\" = \"$WANT\" && test \"$PWD\" = \"$WANT\" && test \"$A\" = 'x y'", dir.path());
  request.environment = {{"WANT", dir.path()}, {"A", "x y"}};
  CHECK(status_of(request) == 0);
  CHECK(status_of(shell("grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status")) == 0);
}

TEST_CASE("command: TERM to the caller reaches the whole group") {
  const test::TempDir dir;
  const std::string ready = dir.path() + "/ready";
  REQUIRE(::mkfifo(ready.c_str(), 0600) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto outcome = run_command(shell("trap 'exit 3' TERM; echo > " + ready + "; while :; do sleep 0.05; done"));
    ::_exit(outcome.ok() ? outcome->status : 99);
  }
  CHECK(read_text_file(ready).ok());  // opens when the shell has set its trap
  ::kill(pid, SIGTERM);
  int status = 0;
  ::waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 3);
}

TEST_CASE("command: left-over processes of its group get TERM, then KILL after 5 s; --leave spares them") {
  const test::TempDir dir;
  const std::string pids = dir.path() + "/pids";
  // Both children report before the shell goes. One obeys TERM, the other does not.
  const std::string fifo = dir.path() + "/ready";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const std::string script = "(trap '' TERM; echo > " + fifo + "; sleep 60) & echo $! >> " + pids +
                             "; sleep 60 & echo $! >> " + pids + "; cat " + fifo + "; exit 4";
  const std::int64_t before = SystemClock().monotonic_ns();
  CHECK(status_of(shell(script)) == 4);
  CHECK(SystemClock().monotonic_ns() - before >= 4 * kSecondNs);
  const auto text = read_text_file(pids);
  REQUIRE(text.ok());
  const pid_t stubborn = std::stoi(*text);
  const pid_t obedient = std::stoi(text->substr(text->find('\n')));
  CHECK(::kill(stubborn, 0) != 0);
  CHECK(::kill(obedient, 0) != 0);

  CommandRequest leaving = shell("sleep 60 & echo $! > " + pids);
  leaving.leave = true;
  CHECK(status_of(leaving) == 0);
  const pid_t left = std::stoi(*read_text_file(pids));
  CHECK(::kill(left, 0) == 0);
  ::kill(left, SIGKILL);
  ::waitpid(left, nullptr, 0);
}

TEST_CASE("command: without its licence it is stopped, and killed when it does not end") {
  const test::TempDir dir;
  const std::string ready = dir.path() + "/ready";
  REQUIRE(::mkfifo(ready.c_str(), 0600) == 0);
  for (const bool obeys : {true, false}) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    UniqueFd licence(ends[0]);
    UniqueFd other(ends[1]);
    std::thread revoke([&] {
      CHECK(read_text_file(ready).ok());  // opens when the shell has set its trap
      other.reset();
    });
    CommandRequest request = shell(std::string("trap '") + (obeys ? "exit 3" : "") + "' TERM; echo > " + ready +
                                   "; while :; do sleep 0.05; done");
    request.licence = licence.get();
    request.leave = true;
    const auto outcome = run_command(request);
    revoke.join();
    REQUIRE(outcome.ok());
    CHECK(outcome->stopped);
    CHECK(outcome->status == (obeys ? 3 : 128 + SIGKILL));
  }
}
