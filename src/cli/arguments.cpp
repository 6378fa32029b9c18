#include "sboxfs/cli/arguments.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <iostream>
#include <sstream>

#include "sboxfs/base/text.hpp"

namespace po = boost::program_options;

namespace sboxfs::cli {
namespace {

std::string long_name(const OptionSpec& option) { return option.name.substr(0, option.name.find(',')); }

po::options_description described(const std::vector<OptionSpec>& options) {
  po::options_description description("Options", 100);
  for (const OptionSpec& option : options) {
    if (option.value.empty()) {
      description.add_options()(option.name.c_str(), option.help.c_str());
    } else {
      auto* value = po::value<std::vector<std::string>>()->value_name(option.value);
      description.add_options()(option.name.c_str(), value, option.help.c_str());
    }
  }
  return description;
}

}  // namespace

void stop(Exit exit, std::string message) { throw Failure{exit, std::move(message)}; }

void stop_for_store(const Error& error) { stop(exit_for_store(error), error.what); }

Arguments::Arguments(std::string command, std::string synopsis, std::string about)
    : name_(std::move(command)), synopsis_(std::move(synopsis)), about_(std::move(about)) {
  add({"help,h", "", "show this help"});
}

Arguments& Arguments::add(OptionSpec option) {
  options_.push_back(std::move(option));
  return *this;
}

Arguments& Arguments::add_connection() {
  add({"postgres", "CONNINFO", "how to reach Postgres: a libpq conninfo string or URI"});
  add({"redis", "ADDRESS", "how to reach Redis: unix:///PATH or redis://HOST:PORT/DB"});
  add({"redis-password-file", "FILE", "a file whose first line is the password for Redis"});
  add({"tenant", "NAME", "the tenant (default: default)"});
  add({"pooler", "", "a transaction-pooling proxy is in between: no prepared statements"});
  return ends_with({Exit::no_tenant, Exit::unreachable, Exit::refused, Exit::schema});
}

Arguments& Arguments::add_json() { return add({"json", "", "print JSON"}); }

Arguments& Arguments::ends_with(const std::vector<Exit>& exits) {
  exits_.insert(exits_.end(), exits.begin(), exits.end());
  std::sort(exits_.begin(), exits_.end());
  exits_.erase(std::unique(exits_.begin(), exits_.end()), exits_.end());
  return *this;
}

Arguments& Arguments::positionals(std::size_t least, std::size_t most) {
  least_ = least;
  most_ = most;
  return *this;
}

Arguments& Arguments::takes_command() {
  takes_command_ = true;
  return *this;
}

void Arguments::stop_usage(const std::string& why) const {
  stop(Exit::usage, cat(why, " (see 'sboxfs ", name_, " --help')"));
}

const OptionSpec* Arguments::find(const std::string& word) const {
  for (const OptionSpec& option : options_) {
    const std::string name = long_name(option);
    if (word == "--" + name) return &option;
    if (option.name.size() > name.size() && word == cat("-", option.name.substr(name.size() + 1))) return &option;
  }
  return nullptr;
}

/// How many words are this program's own: up to "--", or up to the second word that is neither an option nor a value.
std::size_t Arguments::own_words(const std::vector<std::string>& words) const {
  std::size_t plain = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") return i;
    if (words[i].size() > 1 && words[i].front() == '-') {
      const OptionSpec* option = find(words[i]);
      if (option != nullptr && !option->value.empty()) ++i;
    } else if (plain++ == most_) {
      return i;
    }
  }
  return words.size();
}

bool Arguments::parse(const std::vector<std::string>& words) {
  std::vector<std::string> own = words;
  if (takes_command_) {
    const std::size_t count = own_words(words);
    own.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
    const std::size_t rest = count < words.size() && words[count] == "--" ? count + 1 : count;
    command_.assign(words.begin() + static_cast<std::ptrdiff_t>(std::min(rest, words.size())), words.end());
  }
  po::options_description description = described(options_);
  po::options_description hidden;
  hidden.add_options()("words", po::value<std::vector<std::string>>());
  po::options_description all;
  all.add(description).add(hidden);
  po::positional_options_description positional;
  positional.add("words", -1);
  try {
    namespace style = po::command_line_style;
    const auto parsed = po::command_line_parser(own)
                            .options(all)
                            .positional(positional)
                            .style(style::unix_style & ~style::allow_guessing)
                            .run();
    for (const auto& option : parsed.options) {
      if (option.string_key == "words") {
        words_.insert(words_.end(), option.value.begin(), option.value.end());
      } else {
        given_.emplace_back(option.string_key, option.value.empty() ? std::string() : option.value.back());
      }
    }
    po::variables_map checked;
    po::store(parsed, checked);
  } catch (const po::error& error) {
    stop_usage(error.what());
  }
  if (has("help")) {
    std::cout << help();
    return false;
  }
  if (words_.size() < least_) stop_usage("an argument is missing");
  if (words_.size() > most_) stop_usage(cat("unexpected argument '", words_[most_], "'"));
  for (const OptionSpec& option : options_) {
    if (!option.repeated && !option.value.empty() && values(long_name(option)).size() > 1) {
      stop_usage(cat("--", long_name(option), " is given more than once"));
    }
  }
  return true;
}

bool Arguments::has(const std::string& name) const { return !values(name).empty(); }

std::optional<std::string> Arguments::value(const std::string& name) const {
  const auto found = values(name);
  if (found.empty()) return std::nullopt;
  return found.back();
}

std::vector<std::string> Arguments::values(const std::string& name) const {
  std::vector<std::string> found;
  for (const auto& [key, value] : given_) {
    if (key == name) found.push_back(value);
  }
  return found;
}

Settings Arguments::settings() const {
  auto layers = settings_from_files();
  if (!layers.ok()) stop(Exit::usage, layers.error().what);
  layers->push_back(settings_from_environment());
  SettingLayer flags;
  flags.postgres = value("postgres");
  flags.redis = value("redis");
  flags.redis_password_file = value("redis-password-file");
  flags.tenant = value("tenant");
  if (has("pooler")) flags.pooler = true;
  layers->push_back(std::move(flags));
  auto settings = resolve_settings(*layers);
  if (!settings.ok()) stop(Exit::usage, settings.error().what);
  return *settings;
}

std::string Arguments::help() const {
  std::ostringstream out;
  out << "Usage: sboxfs " << name_ << (synopsis_.empty() ? "" : " ") << synopsis_ << "\n\n"
      << about_ << "\n\n"
      << described(options_) << "\nEXIT STATUS\n";
  for (const Exit exit : exits_) {
    const std::string number = std::to_string(static_cast<int>(exit));
    out << "  " << number << std::string(6 - number.size(), ' ') << exit_meaning(exit) << "\n";
  }
  return out.str();
}

}  // namespace sboxfs::cli
