// sboxfs create
#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "import.hpp"
#include "mounting.hpp"
#include "new_sandbox.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/parse.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "Makes the sandbox NAME: 1 to 128 letters, digits and . _ -, the first a letter or digit, not shaped like a UUID.\n"
    "Prints its id. --from fills it from a directory, a tar (compressed or not) or, with -, a tar on standard input,\n"
    "with modes, times, links, holes, xattrs and ACLs, and with numeric owners when root does it. All or nothing.";

void check_source(const std::string& source) {
  if (source != "-" && ::access(source.c_str(), R_OK) != 0) stop(Exit::not_found, cat("can not read ", source));
}

/// Throws Failure; the mount is gone then.
ImportReport fill(Database& database, const SandboxId& id, const std::string& source) {
  HeldMount mount = hold_mount(database, id, false);
  const auto report = import_tree(source, mount.record.mount_point);
  std::string warning;
  const Status synced = report.ok() ? mount.control.request("sync", &warning) : Status();
  const Status released = release_mount(mount, 0);
  if (!report.ok()) stop(Exit::failed, report.error().what);
  if (!synced.ok()) stop(Exit::lost, synced.error().what);
  if (!released.ok() && released.code() != EAGAIN) stop(Exit::lost, released.error().what);
  if (!warning.empty()) std::cerr << "sboxfs create: warning: " << warning << "\n";
  return *report;
}

CreateRequest request_from(const Arguments& arguments) {
  CreateRequest request;
  request.name = arguments.words().front();
  const auto quota = parse_size(arguments.value("quota").value_or("0"));
  if (!quota.ok()) stop(Exit::usage, cat("--quota: ", quota.error().what));
  const auto inodes = parse_count(arguments.value("inodes").value_or("0"));
  if (!inodes.ok()) stop(Exit::usage, cat("--inodes: ", inodes.error().what));
  request.quota_bytes = *quota;
  request.quota_inodes = *inodes;
  return request;
}

}  // namespace

int run_create(const Words& words) {
  Arguments arguments("create", "[OPTION...] NAME", kAbout);
  arguments.add({"from", "DIR|TAR|-", "fill it from a directory or a tar"});
  arguments.add({"quota", "SIZE", "the most its files may take: a number with K, M, G or T (0: no limit)"});
  arguments.add({"inodes", "COUNT", "the most inodes it may have (0: no limit)"});
  arguments.add_connection().add_json().positionals(1, 1);
  arguments.ends_with({Exit::not_found, Exit::exists, Exit::forbidden, Exit::lost});
  if (!arguments.parse(words)) return 0;
  const CreateRequest request = request_from(arguments);
  if (const Status named = check_sandbox_name(request.name); !named.ok()) stop(Exit::usage, named.error().what);
  const auto source = arguments.value("from");
  if (source) check_source(*source);
  Database database = open_database(arguments.settings());
  const SandboxId id = make_sandbox(database, request);
  ImportReport report;
  if (source) {
    try {
      report = fill(database, id, *source);
    } catch (...) {
      // Nothing half-created: the name is free again at once.
      if (const Status undone = destroy_sandbox(*database.pool, database.tenant(), id); !undone.ok()) {
        std::cerr << "sboxfs create: '" << request.name
                  << "' is incomplete and could not be removed: " << undone.error().what << "\n";
      }
      throw;
    }
  }
  if (arguments.has("json")) {
    nlohmann::ordered_json json{{"id", id.text()}, {"name", request.name}};
    if (source) json["entries"] = report.entries;
    std::cout << json.dump() << "\n";
  } else {
    std::cout << id.text() << "\n";
  }
  return 0;
}

}  // namespace sboxfs::cli
