// A subcommand's command line: what it accepts, its --help, and the words it got. Over Boost.Program_options.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sboxfs/cli/exit_codes.hpp"
#include "sboxfs/cli/settings.hpp"

namespace sboxfs::cli {

/// The line for the user and the exit status. The only exception of this layer; main() catches it.
struct Failure {
  Exit exit = Exit::failed;
  std::string message;
};

[[noreturn]] void stop(Exit exit, std::string message);
[[noreturn]] void stop_for_store(const Error& error);

/// One accepted option. `name` is "long" or "long,s".
struct OptionSpec {
  std::string name;
  std::string value;  ///< what the value is called in the help; empty: a switch
  std::string help;
  bool repeated = false;
};

class Arguments {
 public:
  /// `synopsis` is what follows "sboxfs COMMAND" in the usage line.
  Arguments(std::string command, std::string synopsis, std::string about);

  Arguments& add(OptionSpec option);
  /// --postgres, --redis, --redis-password-file, --tenant, --pooler, and the exit statuses that come with them.
  Arguments& add_connection();
  Arguments& add_json();
  /// The statuses besides 0, 1 and 2.
  Arguments& ends_with(const std::vector<Exit>& exits);
  /// How many words may stand without an option.
  Arguments& positionals(std::size_t least, std::size_t most);
  /// The words after the first positional's own, or after "--", are somebody else's command line.
  Arguments& takes_command();

  /// False: --help was asked for and printed. Throws Failure (usage).
  bool parse(const std::vector<std::string>& words);

  bool has(const std::string& name) const;
  std::optional<std::string> value(const std::string& name) const;
  std::vector<std::string> values(const std::string& name) const;
  /// The option's value, read by one of parse.hpp; `into` stays when it was not given. Throws Failure (usage).
  template <class Number, class Parse>
  void read(const std::string& name, Parse parser, Number& into) const {
    const auto text = value(name);
    if (!text) return;
    const auto number = parser(*text);
    if (!number.ok()) stop(Exit::usage, "--" + name + ": " + number.error().what);
    into = *number;
  }
  const std::vector<std::string>& words() const { return words_; }
  const std::vector<std::string>& command() const { return command_; }

  /// Flags, environment and files together. Throws Failure (usage).
  Settings settings() const;
  std::string help() const;

 private:
  [[noreturn]] void stop_usage(const std::string& why) const;
  std::size_t own_words(const std::vector<std::string>& words) const;
  const OptionSpec* find(const std::string& word) const;

  std::string name_;
  std::string synopsis_;
  std::string about_;
  std::vector<OptionSpec> options_;
  std::vector<Exit> exits_{Exit::ok, Exit::failed, Exit::usage};
  std::size_t least_ = 0;
  std::size_t most_ = 0;
  bool takes_command_ = false;
  std::vector<std::pair<std::string, std::string>> given_;
  std::vector<std::string> words_;
  std::vector<std::string> command_;
};

}  // namespace sboxfs::cli
