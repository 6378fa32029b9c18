// sboxfs exec: a command in a sandbox's mount.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "commands.hpp"
#include "mounting.hpp"
#include "new_sandbox.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/parse.hpp"
#include "sboxfs/exec/command.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "Runs COMMAND (none: $SHELL) with the root of the sandbox NAME (a name or id) as working directory, mounting it\n"
    "if it is not mounted here. It sees what an exec that has ended on another host wrote; when it returns, what it\n"
    "wrote is committed and published. Terminal, signals and exit status are the command's own; 128+N: signal N.\n"
    "Processes it leaves behind in its process group get TERM, and KILL after 5 s.\n"
    "This gives a working tree, not isolation: the command runs as you, on this host, and can reach all you can.";

std::vector<std::pair<std::string, std::string>> environment_of(const Arguments& arguments) {
  std::vector<std::pair<std::string, std::string>> variables;
  for (const std::string& text : arguments.values("env")) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) stop(Exit::usage, cat("--env: '", text, "' is not VAR=VALUE"));
    variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

double seconds_of(const Arguments& arguments, const char* name, double otherwise) {
  const auto text = arguments.value(name);
  if (!text) return otherwise;
  const auto time = parse_duration(*text);
  if (!time.ok()) stop(Exit::usage, cat("--", name, ": ", time.error().what));
  return static_cast<double>(*time) / static_cast<double>(kSecondNs);
}

/// The connection that holds the exec lock, if one is asked for.
std::optional<ControlClient> take_lock(const HeldMount& mount, const Arguments& arguments, double timeout_seconds) {
  const bool exclusive = arguments.has("exclusive");
  if (!exclusive && !arguments.has("read-only")) return std::nullopt;
  auto client = ControlClient::connect(mount.record.control);
  if (!client.ok()) stop(Exit::exec_failed, client.error().what);
  const Status locked = client->lock(exclusive, timeout_seconds);
  if (locked.code() == ETIMEDOUT)
    stop(Exit::exec_lock_timeout, cat("the exec lock of '", arguments.words().front(), "' was not free within ",
                                      arguments.value("lock-timeout").value_or("75s"), ": another exec holds it"));
  if (!locked.ok()) stop(Exit::exec_failed, locked.error().what);
  return std::move(*client);
}

SandboxId find_or_create(Database& database, const std::string& name, bool create) {
  const auto found = find_sandbox(*database.pool, database.tenant(), name);
  if (found.ok()) return *found;
  if (found.code() != ENOENT) stop_for_store(found.error());
  if (!create) stop(Exit::not_found, cat("there is no sandbox '", name, "' (--create makes it)"));
  try {
    CreateRequest request;
    request.name = name;
    return make_sandbox(database, request);
  } catch (const Failure& failure) {
    // Somebody else was faster: that one will do.
    if (failure.exit != Exit::exists) throw;
    return sandbox_or_stop(database, name);
  }
}

CommandRequest command_of(const Arguments& arguments, const std::string& root) {
  CommandRequest request;
  request.argv = arguments.command();
  if (request.argv.empty()) {
    const char* shell = std::getenv("SHELL");
    request.argv = {shell != nullptr && *shell != '\0' ? shell : "/bin/sh"};
  }
  request.directory = root;
  if (const auto directory = arguments.value("workdir")) request.directory += "/" + *directory;
  request.environment = environment_of(arguments);
  request.leave = arguments.has("leave");
  return request;
}

}  // namespace

int run_exec(const Words& words) {
  Arguments arguments("exec", "[OPTION...] NAME [OPTION...] [--] [COMMAND [ARGUMENT...]]", kAbout);
  arguments.add({"create", "", "make the sandbox if there is none"});
  arguments.add({"workdir,w", "DIR", "working directory, relative to the sandbox's root"});
  arguments.add({"env,e", "VAR=VALUE", "set a variable for the command", true});
  arguments.add({"read-only", "", "mount it read-only, and take the exec lock shared"});
  arguments.add({"exclusive", "", "take the exec lock: no other exec that takes it runs meanwhile, on any host"});
  arguments.add({"lock-timeout", "TIME", "how long to wait for the exec lock (75s)"});
  arguments.add({"keep", "TIME", "leave the mount for that long for the next exec"});
  arguments.add({"leave", "", "do not end processes the command leaves behind"});
  arguments.add_connection().positionals(1, 1).takes_command();
  arguments.ends_with({Exit::exec_lock_timeout, Exit::exec_failed, Exit::exec_not_executable, Exit::exec_not_found});
  if (!arguments.parse(words)) return 0;
  const double keep = seconds_of(arguments, "keep", 0);
  const double lock_timeout = seconds_of(arguments, "lock-timeout", 75);
  // Checked before anything is made or mounted.
  command_of(arguments, "");
  Database database = open_database(arguments.settings());
  const SandboxId id = find_or_create(database, arguments.words().front(), arguments.has("create"));
  HeldMount mount = hold_mount(database, id, arguments.has("read-only"));
  database.pool.reset();
  std::optional<ControlClient> lock = take_lock(mount, arguments, lock_timeout);
  if (const Status fresh = mount.control.request("refresh"); !fresh.ok()) stop(Exit::exec_failed, fresh.error().what);

  CommandRequest command = command_of(arguments, mount.record.mount_point);
  if (lock) command.licence = lock->fd();
  const auto outcome = run_command(command);
  std::string warning;
  const Status synced = mount.control.request("sync", &warning);
  lock.reset();  // after the commit: the next one sees it
  const Status released = release_mount(mount, keep);
  if (!outcome.ok()) stop(Exit::exec_failed, outcome.error().what);
  if (outcome->stopped) stop(Exit::exec_failed, "the exec lock was lost: the command was stopped");
  if (!outcome->problem.empty()) std::cerr << "sboxfs exec: " << outcome->problem << "\n";
  if (!synced.ok()) stop(Exit::exec_failed, synced.error().what);
  if (!released.ok() && released.code() != EAGAIN) stop(Exit::exec_failed, released.error().what);
  if (!warning.empty()) std::cerr << "sboxfs exec: warning: " << warning << "\n";
  return outcome->status;
}

}  // namespace sboxfs::cli
