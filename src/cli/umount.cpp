// sboxfs umount: flush, commit, publish, then unmount.
#include <iostream>

#include "commands.hpp"
#include "connect.hpp"
#include "local_mounts.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/exec/control.hpp"
#include "sboxfs/exec/mount_point.hpp"

namespace sboxfs::cli {
namespace {

constexpr int kLastMomentMs = 10'000;
constexpr const char* kAbout =
    "Commits and publishes what the mount (its directory, or the sandbox's name for all its mounts here) has\n"
    "accepted, unmounts, and returns when its process is gone. A busy mount stays; the processes that use it are "
    "named.";

enum class Mode { plain, lazy, force };

[[noreturn]] void stop_busy(const std::string& mount_point) {
  std::string message = mount_point + " is busy";
  for (const MountUser& user : find_mount_users(mount_point)) {
    message += cat("\n  process ", user.pid, " (", user.command, "): ", user.how);
  }
  stop(Exit::busy, message);
}

void warn(const std::string& text) { std::cerr << "sboxfs umount: warning: " << text << "\n"; }

void take_away(const std::string& mount_point, Mode mode) {
  const Status gone = mode == Mode::force ? abort_and_detach(mount_point) : detach(mount_point, mode == Mode::lazy);
  if (gone.ok()) return;
  if (gone.code() == EBUSY) stop_busy(mount_point);
  stop(Exit::failed, gone.error().what);
}

void unmount(const MountRecord& mount, Mode mode) {
  auto control = ControlClient::connect(mount.control);
  auto last_words = ControlClient::connect(mount.control);
  if (mode != Mode::force) {
    if (!control.ok() || !last_words.ok())
      stop(Exit::failed, cat("the process of ", mount.mount_point, " does not answer (--force)"));
    const Status synced = control->request("sync");
    if (!synced.ok() && synced.code() != ESHUTDOWN) stop(Exit::lost, cat(mount.mount_point, ": ", synced.error().what));
  }
  const bool asked = last_words.ok() && last_words->ask_for_end().ok();
  take_away(mount.mount_point, mode);
  // Lazily detached it lives on for as long as it is used; a forced one may hang.
  if (mode != Mode::plain || !asked) return;
  const Status ended = last_words->wait_for_end();
  wait_for_end(mount, kLastMomentMs);
  if (ended.code() == EAGAIN) {
    warn(ended.error().what);
  } else if (!ended.ok() && ended.code() != ECONNRESET) {
    stop(Exit::lost, cat(mount.mount_point, ": ", ended.error().what));
  } else if (!ended.ok()) {
    warn(cat("the mount's process ended without a word; see ", mount.log_file));
  }
}

/// Mounts whose process has died, or which another home made: there is nobody left to ask.
void unmount_orphans(const Home& home, const std::string& word, Mode mode) {
  std::vector<std::string> orphans;
  for (const MountRecord& record : list_mount_records(home)) {
    const bool named = record.name == word || record.sandbox.text() == word;
    if (named && !record.alive && mounted_at(record.mount_point).ours) orphans.push_back(record.mount_point);
  }
  const auto path = resolve_directory(word);
  if (path.ok() && mounted_at(*path).ours) orphans = {*path};
  if (orphans.empty()) stop(Exit::not_found, cat("'", word, "' is not a mount of this home"));
  for (const std::string& mount_point : orphans) take_away(mount_point, mode);
}

}  // namespace

int run_umount(const Words& words) {
  Arguments arguments("umount", "[OPTION...] DIR|NAME", kAbout);
  arguments.add({"lazy,l", "", "detach it now, whoever uses it; it goes when nobody does any more"});
  arguments.add({"force,f", "", "for a mount that hangs: let every waiting call fail and detach it"});
  arguments.positionals(1, 1).ends_with({Exit::not_found, Exit::busy, Exit::lost});
  if (!arguments.parse(words)) return 0;
  const Mode mode = arguments.has("force") ? Mode::force : arguments.has("lazy") ? Mode::lazy : Mode::plain;
  const std::string& word = arguments.words().front();
  const Home home = home_or_stop();
  auto mounts = mounts_named(home, word);
  // A directory inside a mount names no mount; only the mount's own directory does.
  const auto path = resolve_directory(word);
  if (mounts.size() == 1 && path.ok() && mounts.front().name != word && mounts.front().sandbox.text() != word &&
      mounts.front().mount_point != *path) {
    mounts.clear();
  }
  if (mounts.empty()) unmount_orphans(home, word, mode);
  for (const MountRecord& mount : mounts) unmount(mount, mode);
  remove_dead_records(home);
  return 0;
}

}  // namespace sboxfs::cli
