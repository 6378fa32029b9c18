// sboxfs exec: a command in a sandbox's mount.
#include <algorithm>
#include <cstdlib>
#include <iostream>

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

double keep_seconds(const Arguments& arguments) {
  const auto text = arguments.value("keep");
  if (!text) return 0;
  const auto time = parse_duration(*text);
  if (!time.ok()) stop(Exit::usage, cat("--keep: ", time.error().what));
  return static_cast<double>(*time) / static_cast<double>(kSecondNs);
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
  arguments.add({"read-only", "", "mount it read-only"});
  arguments.add({"keep", "TIME", "leave the mount for that long for the next exec"});
  arguments.add({"leave", "", "do not end processes the command leaves behind"});
  arguments.add_connection().positionals(1, 1).takes_command();
  arguments.ends_with({Exit::exec_failed, Exit::exec_not_executable, Exit::exec_not_found});
  if (!arguments.parse(words)) return 0;
  const double keep = keep_seconds(arguments);
  // Checked before anything is made or mounted.
  command_of(arguments, "");
  Database database = open_database(arguments.settings());
  const SandboxId id = find_or_create(database, arguments.words().front(), arguments.has("create"));
  HeldMount mount = hold_mount(database, id, arguments.has("read-only"));
  database.pool.reset();
  if (const Status fresh = mount.control.request("refresh"); !fresh.ok()) stop(Exit::exec_failed, fresh.error().what);

  const auto outcome = run_command(command_of(arguments, mount.record.mount_point));
  std::string warning;
  const Status synced = mount.control.request("sync", &warning);
  const Status released = release_mount(mount, keep);
  if (!outcome.ok()) stop(Exit::exec_failed, outcome.error().what);
  if (!outcome->problem.empty()) std::cerr << "sboxfs exec: " << outcome->problem << "\n";
  if (!synced.ok()) stop(Exit::exec_failed, synced.error().what);
  if (!released.ok() && released.code() != EAGAIN) stop(Exit::exec_failed, released.error().what);
  if (!warning.empty()) std::cerr << "sboxfs exec: warning: " << warning << "\n";
  return outcome->status;
}

}  // namespace sboxfs::cli
