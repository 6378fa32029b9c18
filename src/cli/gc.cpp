// sboxfs gc: the janitor's steps, by hand.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "bus.hpp"
#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/store/janitor.hpp"

namespace sboxfs::cli {
namespace {

constexpr unsigned kStep = 500;
constexpr std::chrono::milliseconds kLongestPause{200};
constexpr const char* kAbout =
    "Deletes in small steps what nobody can reach any more: unlinked files that no mount holds open, the rows of\n"
    "destroyed sandboxes, old change rows, dead mounts, and blobs that have been without a name for an hour.\n"
    "Every mount does the same in the background.";

/// Steps until there is nothing left, with a pause as long as a step between two: requests come first.
std::uint64_t repeat(const std::function<Result<std::uint64_t>()>& step) {
  using Clock = std::chrono::steady_clock;
  std::uint64_t total = 0;
  for (;;) {
    const Clock::time_point start = Clock::now();
    const auto count = step();
    if (!count.ok()) stop_for_store(count.error());
    if (*count == 0) return total;
    total += *count;
    std::this_thread::sleep_for(std::min<Clock::duration>(Clock::now() - start, kLongestPause));
  }
}

std::uint64_t purge_destroyed(Database& database) {
  const std::string& tenant = database.tenant();
  PgPool& pool = *database.pool;
  const auto destroyed = destroyed_sandboxes(pool, tenant, 10'000);
  if (!destroyed.ok()) stop_for_store(destroyed.error());
  std::uint64_t rows = 0;
  for (const DestroyedSandbox& sandbox : *destroyed) {
    const std::unique_ptr<Bus> bus = open_bus(database.endpoints, sandbox.id);
    const bool erased = bus->erase().ok();
    if (erased) {
      if (const Status marked = mark_erased(pool, tenant, sandbox.id); !marked.ok()) stop_for_store(marked.error());
    }
    rows += repeat([&] { return purge_step(pool, tenant, sandbox.id, kStep); });
    // A publish that hung in a stopped Redis may have brought the key back: erased once more before the row goes.
    if (!erased || sandbox.age_ns < kForgetAgeNs || !bus->erase().ok()) continue;
    const auto gone = forget_sandbox(pool, tenant, sandbox.id);
    if (!gone.ok()) stop_for_store(gone.error());
  }
  return rows;
}

std::uint64_t mark_blobs(PgPool& pool, const std::string& tenant) {
  std::uint64_t marked = 0;
  for (std::optional<Hash> from = Hash{}; from;) {
    const auto step = mark_dead_blobs(pool, tenant, *from, kStep);
    if (!step.ok()) stop_for_store(step.error());
    marked += step->marked;
    from = step->next;
  }
  return marked;
}

void print(const nlohmann::ordered_json& counts, bool json) {
  if (json) {
    std::cout << counts.dump(2) << "\n";
    return;
  }
  for (const auto& [key, value] : counts.items()) std::cout << key << ": " << value << "\n";
}

}  // namespace

int run_gc(const Words& words) {
  Arguments arguments("gc", "[OPTION...]", kAbout);
  arguments.add({"dry-run,n", "", "only count"});
  arguments.add_connection().add_json();
  if (!arguments.parse(words)) return 0;
  Database database = open_database(arguments.settings());
  const std::string tenant = database.tenant();
  PgPool& pool = *database.pool;
  if (arguments.has("dry-run")) {
    const auto found = count_garbage(pool, tenant);
    if (!found.ok()) stop_for_store(found.error());
    print({{"orphans", found->orphans},
           {"unnamed_blobs", found->unnamed_blobs},
           {"unnamed_bytes", found->unnamed_bytes},
           {"destroyed_sandboxes", found->destroyed_sandboxes},
           {"old_changes", found->old_changes},
           {"dead_sessions", found->dead_sessions}},
          arguments.has("json"));
    return 0;
  }
  nlohmann::ordered_json counts;
  counts["dead_sessions"] = repeat([&] { return delete_dead_sessions(pool, tenant, kStep); });
  counts["orphans"] = repeat([&] { return delete_orphans(pool, tenant, kStep); });
  counts["destroyed_rows"] = purge_destroyed(database);
  counts["old_changes"] = repeat([&] { return delete_old_changes(pool, tenant, kStep); });
  counts["blobs_marked"] = mark_blobs(pool, tenant);
  counts["blobs_deleted"] = repeat([&] { return delete_dead_blobs(pool, tenant, kStep); });
  print(counts, arguments.has("json"));
  return 0;
}

}  // namespace sboxfs::cli
