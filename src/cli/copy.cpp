// sboxfs copy: rows copied inside the database, blobs shared.
#include <iostream>

#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/cli/parse.hpp"
#include "sboxfs/exec/control.hpp"
#include "sboxfs/exec/mount_record.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "Makes the sandbox NEW (same tenant) that begins as what FROM (a name or id) has committed. What mounts of\n"
    "FROM on this host have accepted is committed first; mounts on other hosts: run 'sboxfs sync' there.";

void sync_local_mounts(const Home& home, const SandboxId& id) {
  for (const MountRecord& record : list_mount_records(home)) {
    if (!record.alive || record.sandbox != id || record.read_only) continue;
    auto client = ControlClient::connect(record.control);
    // A mount that ends meanwhile has committed by the time it is gone.
    if (!client.ok()) continue;
    if (const Status synced = client->request("sync"); !synced.ok() && synced.code() != ECONNRESET) {
      stop(Exit::lost, cat(record.mount_point, ": ", synced.error().what));
    }
  }
}

}  // namespace

int run_copy(const Words& words) {
  Arguments arguments("copy", "[OPTION...] FROM NEW", kAbout);
  arguments.add_connection().add_json().positionals(2, 2).ends_with({Exit::not_found, Exit::exists, Exit::lost});
  if (!arguments.parse(words)) return 0;
  const std::string& name = arguments.words()[1];
  if (const Status named = check_sandbox_name(name); !named.ok()) stop(Exit::usage, named.error().what);
  Database database = open_database(arguments.settings());
  const SandboxId from = sandbox_or_stop(database, arguments.words()[0]);
  sync_local_mounts(database.endpoints.home, from);
  const auto made = copy_sandbox(*database.pool, database.tenant(), from, name);
  if (!made.ok() && made.code() == EEXIST) stop(Exit::exists, cat("a sandbox '", name, "' exists already"));
  if (!made.ok()) stop_for_store(made.error());
  if (arguments.has("json")) {
    std::cout << "{\"id\": \"" << made->text() << "\", \"name\": \"" << name << "\"}\n";
  } else {
    std::cout << made->text() << "\n";
  }
  return 0;
}

}  // namespace sboxfs::cli
