#include <csignal>
#include <cstring>
#include <exception>
#include <iostream>

#include "commands.hpp"
#include "sboxfs/cli/arguments.hpp"

namespace {

using sboxfs::cli::Exit;

void print_overview(std::ostream& out) {
  out << "Usage: sboxfs COMMAND [OPTION...] [ARGUMENT...]\n\n"
         "Persistent trees of files ('sandboxes') kept in Postgres, mounted as ordinary directories.\n\n"
         "Commands:\n";
  for (const auto& command : sboxfs::cli::all_commands()) {
    out << "  " << command.name << std::string(10 - std::strlen(command.name), ' ') << command.summary << "\n";
  }
  out << "\n'sboxfs COMMAND --help' explains a command; 'sboxfs --version' prints the version.\n\nEXIT STATUS\n";
  for (const Exit exit :
       {Exit::ok, Exit::failed, Exit::usage, Exit::not_found, Exit::exists, Exit::no_tenant, Exit::unreachable,
        Exit::refused, Exit::schema, Exit::mount_point, Exit::busy, Exit::forbidden, Exit::lost, Exit::unpublished,
        Exit::declined, Exit::exec_lock_timeout, Exit::exec_failed, Exit::exec_not_executable, Exit::exec_not_found}) {
    const std::string number = std::to_string(static_cast<int>(exit));
    out << "  " << number << std::string(6 - number.size(), ' ') << sboxfs::cli::exit_meaning(exit) << "\n";
  }
}

int complain(const std::string& where, Exit exit, const std::string& message) {
  std::cerr << where << ": " << (message.empty() ? sboxfs::cli::exit_meaning(exit) : std::string_view(message)) << "\n";
  // Statuses of `exec` other than 124 to 127 are the command's own.
  const bool own = where == "sboxfs exec" && exit != Exit::exec_lock_timeout;
  return static_cast<int>(own ? Exit::exec_failed : exit);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that has gone shows as an error of writing, a database that has gone as an error of its own.
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty()) {
    print_overview(std::cerr);
    return static_cast<int>(Exit::usage);
  }
  const std::string name = words.front();
  words.erase(words.begin());
  if (name == "--help" || name == "-h" || name == "help") {
    print_overview(std::cout);
    return 0;
  }
  if (name == "--version") {
    std::cout << "sboxfs " SBOXFS_VERSION "\n";
    return 0;
  }
  for (const auto& command : sboxfs::cli::all_commands()) {
    if (name != command.name) continue;
    const std::string where = "sboxfs " + name;
    try {
      return command.run(words);
    } catch (const sboxfs::cli::Failure& failure) {
      return complain(where, failure.exit, failure.message);
    } catch (const std::exception& error) {
      return complain(where, Exit::failed, error.what());
    }
  }
  return complain("sboxfs", Exit::usage, "unknown command '" + name + "' (see 'sboxfs --help')");
}
