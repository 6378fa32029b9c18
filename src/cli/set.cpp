// sboxfs set: limits of a sandbox.
#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/cli/parse.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs::cli {
namespace {

template <class Parse>
std::optional<std::uint64_t> limit(const Arguments& arguments, const std::string& name, Parse parse) {
  const auto text = arguments.value(name);
  if (!text) return std::nullopt;
  const auto number = parse(*text);
  if (!number.ok()) stop(Exit::usage, number.error().what);
  return *number;
}

}  // namespace

int run_set(const Words& words) {
  Arguments arguments(
      "set", "[OPTION...] NAME",
      "Changes the limits of the sandbox NAME (a name or id). 0 takes a limit away; what is over a new\n"
      "limit stays, but nothing is added.");
  arguments.add({"quota", "SIZE", "the most its files may take: a number with K, M, G or T"});
  arguments.add({"inodes", "COUNT", "the most inodes it may have"});
  arguments.add_connection().positionals(1, 1).ends_with({Exit::not_found});
  if (!arguments.parse(words)) return 0;
  const auto bytes = limit(arguments, "quota", parse_size);
  const auto inodes = limit(arguments, "inodes", parse_count);
  if (!bytes && !inodes) stop(Exit::usage, "nothing to set: --quota, --inodes or both");
  Database database = open_database(arguments.settings());
  const SandboxId id = sandbox_or_stop(database, arguments.words().front());
  const Status set = set_quota(*database.pool, database.tenant(), id, bytes, inodes);
  if (!set.ok()) stop_for_store(set.error());
  return 0;
}

}  // namespace sboxfs::cli
