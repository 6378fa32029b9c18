// sboxfs drain: what is committed and Redis does not know yet.
#include <array>
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
    "Publishes every version of the tenant's sandboxes that is committed and that Redis has not acknowledged, and\n"
    "deletes the keys of destroyed ones. Sandboxes whose writer is alive are left to it, unless --all: publishing\n"
    "twice does no harm.";

Status drain_one(const Database& database, const OutboxItem& item) {
  const std::unique_ptr<Bus> bus = open_bus(database.endpoints, item.id);
  if (item.destroyed) {
    SBOXFS_TRY(bus->erase());
    return mark_erased(*database.pool, database.tenant(), item.id);
  }
  News news;
  news.kind = News::Kind::version;
  news.stamp = item.stamp;
  news.previous = item.published_version;
  news.epoch = item.epoch;
  SBOXFS_ASSIGN(const Version acknowledged, bus->publish(news));
  if (acknowledged > item.stamp.version) {
    // Newer than what was read above: a commit since then, or else the database was restored to an earlier time, and
    // the key follows the truth.
    SBOXFS_ASSIGN(const std::vector<AuditRow> now, audit(*database.pool, database.tenant(), std::array{item.id}));
    if (!now.empty() && !now.front().destroyed && now.front().stamp.version < acknowledged) {
      SBOXFS_TRY(bus->lower(acknowledged, now.front().stamp.version));
    }
  }
  return mark_published(*database.pool, database.tenant(), item.id, item.stamp.version);
}

}  // namespace

int run_drain(const Words& words) {
  Arguments arguments("drain", "[OPTION...]", kAbout);
  arguments.add({"all", "", "also sandboxes that are being written"});
  arguments.add_connection().ends_with({Exit::unpublished});
  if (!arguments.parse(words)) return 0;
  Database database = open_database(arguments.settings());
  const auto pending = outbox(*database.pool, database.tenant());
  if (!pending.ok()) stop_for_store(pending.error());
  std::uint64_t published = 0;
  std::uint64_t left = 0;
  for (const OutboxItem& item : *pending) {
    if (!item.destroyed && !item.lease_free && !arguments.has("all")) {
      ++left;
      continue;
    }
    const Status drained = drain_one(database, item);
    if (!drained.ok()) {
      stop(Exit::unpublished, cat(published, " published, the rest is pending: ",
                                  drained.error().what.empty() ? "Redis does not answer" : drained.error().what));
    }
    ++published;
  }
  std::cout << published << " published";
  if (left > 0) std::cout << ", " << left << " left to their writers";
  std::cout << "\n";
  return 0;
}

}  // namespace sboxfs::cli
