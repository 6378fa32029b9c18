// sboxfs mount: by hand, and the list of this host's mounts.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "mounting.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/mount_options.hpp"
#include "sboxfs/cli/parse.hpp"
#include "sboxfs/exec/control.hpp"
#include "sboxfs/exec/mount_point.hpp"

namespace sboxfs::cli {
namespace {

constexpr const char* kAbout =
    "Mounts the sandbox NAME (a name or id) on the empty directory DIR; returns when the mount answers.\n"
    "Without arguments: lists the mounts of this home ($SBOXFS_HOME) on this host.\n"
    "Options after -o: ro, rw, async (default), cto, sync, allow_other, dev, suid, noexec, noatime,\n"
    "strictatime, nodiratime, strict, local_lock, uid=N, gid=N, nonempty; see sboxfs-mount(1).";

/// What the mount's process has counted, or null when it does not answer any more.
nlohmann::ordered_json stats_of(const MountRecord& record) {
  auto control = ControlClient::connect(record.control);
  if (!control.ok()) return nullptr;
  const auto text = control->status();
  return text.ok() ? nlohmann::ordered_json::parse(*text, nullptr, false) : nullptr;
}

constexpr std::uint64_t kLeastCache = 16ULL << 20;

int list_mounts(const Arguments& arguments) {
  const Home home = home_or_stop();
  auto json = nlohmann::ordered_json::array();
  std::string lines;
  for (const MountRecord& record : list_mount_records(home)) {
    const bool dead = !record.alive;
    if (dead && !mounted_at(record.mount_point).ours) continue;
    nlohmann::ordered_json entry{{"name", record.name},        {"id", record.sandbox.text()},
                                 {"tenant", record.tenant},    {"mount_point", record.mount_point},
                                 {"pid", record.pid},          {"read_only", record.read_only},
                                 {"exec", record.for_exec},    {"alive", record.alive},
                                 {"log_file", record.log_file}};
    if (arguments.has("stats")) entry["stats"] = record.alive ? stats_of(record) : nullptr;
    json.push_back(std::move(entry));
    lines += cat(record.name, " on ", record.mount_point, " (", record.read_only ? "ro" : "rw",
                 record.for_exec ? ", exec" : "", dead ? ", dead" : cat(", process ", record.pid), ")\n");
  }
  std::cout << (arguments.has("json") ? json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
                                      : lines);
  return 0;
}

void read_limits(const Arguments& arguments, SessionOptions& session) {
  arguments.read("journal-bytes", parse_size, session.journal_bytes);
  arguments.read("journal-ops", parse_count, session.journal_ops);
  arguments.read("content-cache", parse_size, session.content_cache_bytes);
  arguments.read("metadata-cache", parse_size, session.metadata_cache_bytes);
  arguments.read("lease", parse_duration, session.lease_ns);
  arguments.read("audit-interval", parse_duration, session.audit_interval_ns);
  arguments.read("drain-interval", parse_duration, session.drain_interval_ns);
  arguments.read("drain-timeout", parse_duration, session.drain_timeout_ns);
  arguments.read("io-timeout", parse_duration, session.io_timeout_ns);
  arguments.read("idle-timeout", parse_duration, session.idle_timeout_ns);
  session.idle_unmount = arguments.has("idle-unmount");
  if (arguments.value("idle-timeout") && session.idle_timeout_ns < kSecondNs)
    stop(Exit::usage, "--idle-timeout: at least 1s");
  if (session.idle_unmount && session.idle_timeout_ns == 0) stop(Exit::usage, "--idle-unmount needs --idle-timeout");
  // What one call needs at once, a page of a directory or a large read, must still be there when it looks again.
  if (session.metadata_cache_bytes < kLeastCache || session.content_cache_bytes < kLeastCache)
    stop(Exit::usage, "--metadata-cache and --content-cache: at least 16M each");
  if (session.lease_ns < kSecondNs) stop(Exit::usage, "--lease: at least 1s");
  if (session.audit_interval_ns <= 0 || session.drain_interval_ns <= 0 || session.io_timeout_ns <= 0) {
    stop(Exit::usage, "--audit-interval, --drain-interval and --io-timeout must be above 0");
  }
}

MountPlan plan_from(const Arguments& arguments) {
  MountPlan plan;
  plan.settings = arguments.settings();
  plan.sandbox = arguments.words()[0];
  MountPointOptions mount_point;
  for (const std::string& words : arguments.values("options")) {
    const Status applied = apply_mount_options(words, plan.session, mount_point);
    if (!applied.ok()) stop(Exit::usage, applied.error().what);
  }
  read_limits(arguments, plan.session);
  if (const auto word = arguments.value("log-level")) {
    const auto level = log::parse_level(*word);
    if (!level.ok()) stop(Exit::usage, level.error().what);
    plan.log_level = *level;
  }
  const auto directory = resolve_directory(arguments.words()[1]);
  if (!directory.ok()) stop(Exit::mount_point, directory.error().what);
  plan.session.mount_point = *directory;
  if (const auto file = arguments.value("log-file")) {
    // The process in the background works from "/".
    std::error_code error;
    plan.log_file = std::filesystem::absolute(*file, error).string();
  }
  const Status allowed = check_host_allows(plan.session.allow_other);
  if (!allowed.ok()) stop(Exit::forbidden, allowed.error().what);
  const Status usable = check_mount_point(*directory, mount_point.nonempty);
  if (!usable.ok())
    stop(usable.code() == EACCES ? Exit::mount_point : exit_for_mount(usable.error()), usable.error().what);
  return plan;
}

}  // namespace

int run_mount(const Words& words) {
  Arguments arguments("mount", "[OPTION...] [NAME DIR]", kAbout);
  arguments.add({"options,o", "OPTION[,OPTION...]", "mount options", true});
  arguments.add({"foreground,f", "", "stay in the foreground; log to standard error"});
  arguments.add({"log-file", "FILE", "where to log (background: $SBOXFS_HOME/log/NAME.log)"});
  arguments.add({"log-level", "LEVEL", "trace, debug, info (default), warn or error"});
  arguments.add({"journal-bytes", "SIZE", "accepted, uncommitted bytes before writers wait (64M)"});
  arguments.add({"journal-ops", "COUNT", "accepted, uncommitted changes before writers wait (100000)"});
  arguments.add({"content-cache", "SIZE", "memory for contents of files (256M; at least 16M)"});
  arguments.add({"metadata-cache", "SIZE", "memory for names and attributes (128M; at least 16M)"});
  arguments.add({"lease", "TIME", "how long the right to write lasts without renewal (10s)"});
  arguments.add({"audit-interval", "TIME", "how often to compare with Postgres whatever Redis says (5s)"});
  arguments.add({"drain-interval", "TIME", "how often to publish what is pending (10s)"});
  arguments.add({"drain-timeout", "TIME", "how long an unmount waits for Redis (10s)"});
  arguments.add({"io-timeout", "TIME", "the longest wait for Postgres (30s)"});
  arguments.add(
      {"idle-timeout", "TIME", "without requests and open files for that long: let connections and caches go"});
  arguments.add({"idle-unmount", "", "with --idle-timeout: unmount then, unless busy"});
  arguments.add({"stats", "", "with --json, in the list: what each mount has counted"});
  arguments.add_connection().add_json().positionals(0, 2);
  arguments.ends_with({Exit::not_found, Exit::mount_point, Exit::forbidden, Exit::lost, Exit::unpublished});
  if (!arguments.parse(words)) return 0;
  if (arguments.words().empty()) return list_mounts(arguments);
  if (arguments.words().size() != 2)
    stop(Exit::usage, "mount takes a sandbox and a directory (see 'sboxfs mount --help')");
  const MountPlan plan = plan_from(arguments);
  if (arguments.has("foreground")) {
    Readiness nobody;
    return serve(plan, nobody);
  }
  start_in_background(plan);
  return 0;
}

}  // namespace sboxfs::cli
