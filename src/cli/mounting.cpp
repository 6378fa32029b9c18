#include "mounting.hpp"

#include <iostream>

#include "sboxfs/base/text.hpp"
#include "sboxfs/exec/mount_point.hpp"
#include "sboxfs/store/admin.hpp"

namespace sboxfs::cli {
namespace {

constexpr int kTries = 5;
constexpr int kEndMs = 60'000;

/// The sandbox's own name: it may have been given by its id.
MountRequest request_for(const MountPlan& plan, bool background) {
  Database database = open_database(plan.settings);
  const SandboxId id = sandbox_or_stop(database, plan.sandbox);
  const auto info = sandbox_info(*database.pool, database.tenant(), id);
  if (!info.ok()) stop_for_store(info.error());
  const Endpoints& endpoints = database.endpoints;
  MountRequest request;
  request.home = endpoints.home;
  request.session = plan.session;
  request.session.postgres = endpoints.settings.postgres;
  request.session.redis = endpoints.settings.redis;
  request.session.redis_password = endpoints.redis_password;
  request.session.pooler = endpoints.settings.pooler;
  request.session.tenant = endpoints.settings.tenant;
  request.session.sandbox = id;
  request.session.name = info->name;
  request.session.home = endpoints.home.root;
  request.log_file = plan.log_file;
  if (background && request.log_file.empty()) request.log_file = cat(endpoints.home.log_dir(), "/", info->name, ".log");
  request.log_level = plan.log_level;
  request.for_exec = plan.for_exec;
  return request;
}

Exit exit_for_end(const Status& ended, bool answered) {
  if (!answered) return exit_for_mount(ended.error());
  return ended.code() == EAGAIN ? Exit::unpublished : Exit::lost;
}

int serve_or_throw(const MountPlan& plan, Readiness& readiness) {
  const MountRequest request = request_for(plan, readiness.background());
  bool answered = false;
  const Status ended = serve_mount(request, readiness, answered);
  if (ended.ok()) return 0;
  const Exit exit = exit_for_end(ended, answered);
  stop(exit, ended.error().what.empty() ? std::string(exit_meaning(exit)) : ended.error().what);
}

/// A mount that suits; the longest-lived kind first.
std::optional<MountRecord> suitable(const Home& home, const SandboxId& sandbox, bool read_only) {
  std::optional<MountRecord> found;
  for (MountRecord& record : list_mount_records(home)) {
    if (!record.alive || record.sandbox != sandbox || record.read_only != read_only) continue;
    if (!found || found->for_exec) found = std::move(record);
  }
  return found;
}

std::optional<HeldMount> try_hold(const MountRecord& record) {
  auto control = ControlClient::connect(record.control);
  if (!control.ok() || !control->request("hold").ok()) return std::nullopt;
  return HeldMount{record, std::move(*control)};
}

MountPlan plan_for_exec(const Database& database, const SandboxId& sandbox, bool read_only) {
  const Home& home = database.endpoints.home;
  const std::string directory = cat(home.root, "/mnt/", sandbox.text(), read_only ? "-ro" : "");
  MountPlan plan;
  plan.settings = database.endpoints.settings;
  plan.sandbox = sandbox.text();
  plan.session.vfs.read_only = read_only;
  plan.for_exec = true;
  const Status parent = make_directories(home.root + "/mnt", 0700);
  // A mount point of a process that died answers nothing; check_mount_point clears it away.
  const Status made = !parent.ok() || mounted_at(directory).mounted ? parent : make_directories(directory, 0700);
  if (!made.ok()) stop(Exit::failed, made.error().what);
  const auto resolved = resolve_directory(directory);
  if (!resolved.ok()) stop(Exit::failed, resolved.error().what);
  const Status usable = check_mount_point(*resolved, false);
  if (!usable.ok()) stop(exit_for_mount(usable.error()), usable.error().what);
  plan.session.mount_point = *resolved;
  return plan;
}

}  // namespace

int serve(const MountPlan& plan, Readiness& readiness) {
  try {
    return serve_or_throw(plan, readiness);
  } catch (const Failure& failure) {
    if (!readiness.background()) throw;
    readiness.failed({static_cast<int>(failure.exit), failure.message});
    return static_cast<int>(failure.exit);
  } catch (const std::exception& error) {
    if (!readiness.background()) throw;
    readiness.failed({static_cast<int>(Exit::failed), error.what()});
    return static_cast<int>(Exit::failed);
  }
}

void start_in_background(const MountPlan& plan) {
  const auto outcome = run_in_background([&plan](Readiness& readiness) { return serve(plan, readiness); });
  if (!outcome.ok()) stop(Exit::failed, outcome.error().what);
  if (outcome->exit_status != 0) stop(static_cast<Exit>(outcome->exit_status), outcome->message);
}

HeldMount hold_mount(const Database& database, const SandboxId& sandbox, bool read_only) {
  const Home& home = database.endpoints.home;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    // One at a time: of two execs at once the second shall find the first one's mount. A few sandboxes share a lock, so
    // that the files stay few.
    auto starting = lock_file(cat(home.run_dir(), "/starting-", sandbox.text().substr(0, 2)));
    if (!starting.ok()) stop(Exit::failed, starting.error().what);
    remove_dead_records(home);
    if (auto record = suitable(home, sandbox, read_only)) {
      if (auto held = try_hold(*record)) return std::move(*held);
      // It is about to go.
      wait_for_end(*record, kEndMs);
      continue;
    }
    const Status allowed = check_host_allows(false);
    if (!allowed.ok()) stop(Exit::forbidden, allowed.error().what);
    const MountPlan plan = plan_for_exec(database, sandbox, read_only);
    const auto outcome = run_in_background([&](Readiness& readiness) {
      starting->reset();  // else the mount would hold the lock as long as it lives
      return serve(plan, readiness);
    });
    if (!outcome.ok()) stop(Exit::failed, outcome.error().what);
    if (outcome->exit_status != 0) stop(static_cast<Exit>(outcome->exit_status), outcome->message);
    if (auto record = find_mount_at(home, plan.session.mount_point)) {
      if (auto held = try_hold(*record)) return std::move(*held);
    }
  }
  stop(Exit::failed, "the sandbox's mount on this host comes and goes; see its log");
}

Status release_mount(HeldMount& mount, double keep_seconds) {
  auto last_words = ControlClient::connect(mount.record.control);
  const bool asked = last_words.ok() && last_words->ask_for_end().ok();
  const auto going = mount.control.release(keep_seconds);
  if (!going.ok()) return Error(going.error());
  if (!*going || !asked) return {};
  Status ended = last_words->wait_for_end();
  wait_for_end(mount.record, kEndMs);
  return ended;
}

}  // namespace sboxfs::cli
