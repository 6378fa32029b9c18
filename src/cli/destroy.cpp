// sboxfs destroy
#include <unistd.h>

#include <iostream>

#include "bus.hpp"
#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "Destroys the sandbox NAME (a name or id) for good. Mounts of it answer ESTALE and go. Returns at once; the rows\n"
    "are deleted in the background by whoever has a mount, or by 'sboxfs gc'. Asks first when on a terminal.";

bool confirmed(const SandboxInfo& info) {
  std::cerr << "destroy sandbox '" << info.name << "' (" << info.used_inodes << " inodes, " << info.session_count
            << " mounts) for good? [y/N] ";
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

/// Tells the mounts and deletes the key. Later is soon enough: janitors do it again.
void tell_redis(const Database& database, const SandboxId& id) {
  const std::unique_ptr<Bus> bus = open_bus(database.endpoints, id);
  News news;
  news.kind = News::Kind::destroyed;
  const Status told = bus->announce(news);
  const Status erased = told.ok() ? bus->erase() : told;
  const Status marked = erased.ok() ? mark_erased(*database.pool, database.tenant(), id) : erased;
  if (!marked.ok()) {
    std::cerr << "sboxfs destroy: warning: "
              << (marked.error().what.empty() ? "Redis does not answer" : marked.error().what)
              << "; its key goes when it does\n";
  }
}

}  // namespace

int run_destroy(const Words& words) {
  Arguments arguments("destroy", "[OPTION...] NAME", kAbout);
  arguments.add({"yes,y", "", "do not ask"});
  arguments.add_connection().positionals(1, 1).ends_with({Exit::not_found, Exit::declined});
  if (!arguments.parse(words)) return 0;
  Database database = open_database(arguments.settings());
  const SandboxId id = sandbox_or_stop(database, arguments.words().front());
  if (!arguments.has("yes") && ::isatty(STDIN_FILENO) == 1) {
    const auto info = sandbox_info(*database.pool, database.tenant(), id);
    if (!info.ok()) stop_for_store(info.error());
    if (!confirmed(*info)) stop(Exit::declined, "nothing was destroyed");
  }
  const Status destroyed = destroy_sandbox(*database.pool, database.tenant(), id);
  if (!destroyed.ok()) stop_for_store(destroyed.error());
  tell_redis(database, id);
  return 0;
}

}  // namespace sboxfs::cli
