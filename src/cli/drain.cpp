// sboxfs drain: what is committed and Redis does not know yet.
#include <array>
#include <csignal>
#include <ctime>
#include <iostream>
#include <set>
#include <utility>

#include "bus.hpp"
#include "commands.hpp"
#include "connect.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/cli/parse.hpp"
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

struct Drained {
  std::uint64_t published = 0, left = 0;
  Status status;
};

/// Until nothing is left but what has a writer.
Drained drain_all(const Database& database, bool all) {
  Drained out;
  std::set<std::pair<SandboxId, Version>> done;
  for (bool more = true; more;) {
    const auto pending = outbox(*database.pool, database.tenant());
    if (!pending.ok()) stop_for_store(pending.error());
    more = false;
    out.left = 0;
    for (const OutboxItem& item : *pending) {
      if (!item.destroyed && !item.lease_free && !all) {
        ++out.left;
        continue;
      }
      if (!done.emplace(item.id, item.stamp.version).second) continue;
      out.status = drain_one(database, item);
      if (!out.status.ok()) return out;
      ++out.published;
      more = true;
    }
  }
  return out;
}

std::string words_of(const Drained& drained) {
  std::string words = cat(drained.published, " published");
  if (!drained.status.ok())
    return cat(words, ", the rest is pending: ",
               drained.status.error().what.empty() ? "Redis does not answer" : drained.status.error().what);
  return drained.left > 0 ? cat(words, ", ", drained.left, " left to their writers") : words;
}

/// Until SIGINT or SIGTERM. A line whenever something happened that differs from the round before.
int watch(const Database& database, bool all, std::int64_t interval_ns) {
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM}) sigaddset(&ends, number);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::string before;
  for (;;) {
    const Drained drained = drain_all(database, all);
    const std::string words = words_of(drained);
    if (drained.published > 0 || words != before) std::cout << words << std::endl;
    before = words;
    const timespec pause{interval_ns / kSecondNs, interval_ns % kSecondNs};
    if (sigtimedwait(&ends, nullptr, &pause) > 0) return 0;
  }
}

}  // namespace

int run_drain(const Words& words) {
  Arguments arguments("drain", "[OPTION...]", kAbout);
  arguments.add({"all", "", "also sandboxes that are being written"});
  arguments.add({"watch", "", "go on until interrupted, whatever happens to Redis"});
  arguments.add({"drain-interval", "TIME", "with --watch: how often to look (10s)"});
  arguments.add_connection().ends_with({Exit::unpublished});
  if (!arguments.parse(words)) return 0;
  Database database = open_database(arguments.settings());
  std::int64_t interval_ns = 10 * kSecondNs;
  arguments.read("drain-interval", parse_duration, interval_ns);
  if (interval_ns <= 0) stop(Exit::usage, "--drain-interval must be above 0");
  if (arguments.has("watch")) return watch(database, arguments.has("all"), interval_ns);
  const Drained drained = drain_all(database, arguments.has("all"));
  if (!drained.status.ok()) stop(Exit::unpublished, words_of(drained));
  std::cout << words_of(drained) << "\n";
  return 0;
}

}  // namespace sboxfs::cli
