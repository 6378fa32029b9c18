#include "sboxfs/cli/arguments.hpp"

#include <doctest/doctest.h>

using namespace sboxfs;
using namespace sboxfs::cli;

namespace {

using Words = std::vector<std::string>;

Arguments exec_like() {
  Arguments arguments("exec", "...", "Runs.");
  arguments.add({"create", "", "make it"});
  arguments.add({"workdir,w", "DIR", "where"});
  arguments.add({"env,e", "VAR=VALUE", "a variable", true});
  arguments.positionals(1, 1).takes_command();
  return arguments;
}

Exit usage_error(Arguments arguments, const Words& words) {
  try {
    arguments.parse(words);
  } catch (const Failure& failure) {
    CHECK(failure.message.find('\n') == std::string::npos);
    CHECK(failure.message.find("--help") != std::string::npos);
    return failure.exit;
  }
  return Exit::ok;
}

}  // namespace

TEST_CASE("arguments: options may stand before and after the name; the command begins at the next plain word") {
  Arguments arguments = exec_like();
  REQUIRE(arguments.parse({"--create", "box", "-w", "src", "-e", "A=1", "-eB=2", "ls", "-w", "--create"}));
  CHECK(arguments.words() == Words{"box"});
  CHECK(arguments.value("workdir") == "src");
  CHECK(arguments.values("env") == Words{"A=1", "B=2"});
  CHECK(arguments.has("create"));
  CHECK(arguments.command() == Words{"ls", "-w", "--create"});
}

TEST_CASE("arguments: after -- everything is the command, even what looks like an option") {
  Arguments arguments = exec_like();
  REQUIRE(arguments.parse({"box", "--", "-x", "--", "y"}));
  CHECK(arguments.command() == Words{"-x", "--", "y"});
  Arguments none = exec_like();
  REQUIRE(none.parse({"box", "--"}));
  CHECK(none.command().empty());
}

TEST_CASE("arguments: wrong usage is status 2 with one line that names the help") {
  CHECK(usage_error(exec_like(), {}) == Exit::usage);
  CHECK(usage_error(exec_like(), {"--nonsense", "box"}) == Exit::usage);
  CHECK(usage_error(exec_like(), {"box", "-w"}) == Exit::usage);
  CHECK(usage_error(exec_like(), {"-w", "a", "-w", "b", "box"}) == Exit::usage);
  // No guessing: a new option must not change what an old script means.
  CHECK(usage_error(exec_like(), {"--crea", "box"}) == Exit::usage);
  Arguments plain("list", "", "Lists.");
  CHECK(usage_error(plain, {"extra"}) == Exit::usage);
}

TEST_CASE("arguments: the help names every option and every exit status once, in order") {
  Arguments arguments("info", "NAME", "Shows.");
  arguments.add_connection().add_json().ends_with({Exit::not_found, Exit::usage});
  const std::string help = arguments.help();
  for (const char* option :
       {"--help", "--postgres CONNINFO", "--redis ADDRESS", "--redis-password-file", "--tenant", "--json"}) {
    CAPTURE(option);
    CHECK(help.find(option) != std::string::npos);
  }
  const std::string statuses = help.substr(help.find("EXIT STATUS"));
  std::size_t last = 0;
  for (const char* status : {"\n  0 ", "\n  1 ", "\n  2 ", "\n  3 ", "\n  5 ", "\n  6 ", "\n  7 ", "\n  8 "}) {
    CAPTURE(status);
    const std::size_t at = statuses.find(status);
    REQUIRE(at != std::string::npos);
    CHECK(at >= last);
    CHECK(statuses.find(status, at + 1) == std::string::npos);
    last = at;
  }
}
