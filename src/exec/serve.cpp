#include "sboxfs/exec/serve.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>

#include "sboxfs/base/text.hpp"
#include "sboxfs/exec/control.hpp"
#include "sboxfs/exec/mount_point.hpp"
#include "sboxfs/exec/mount_record.hpp"

namespace sboxfs {
namespace {

constexpr int kEndingMs = 120'000;

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
  return set;
}

std::string status_json(const SessionStatus& status) {
  return nlohmann::json{{"version", status.seen.version},
                        {"batch", status.seen.batch.text()},
                        {"published", status.published},
                        {"holds_lease", status.holds_lease},
                        {"journal_bytes", status.journal_bytes},
                        {"journal_ops", status.journal_ops},
                        {"cached_inodes", status.cached_inodes},
                        {"tree_bytes", status.tree_bytes},
                        {"content_bytes", status.content_bytes},
                        {"open_files", status.open_files},
                        {"stale", status.stale},
                        {"locks", status.locks},
                        {"away", status.away},
                        {"evictions", status.evictions},
                        {"requests", status.requests},
                        {"statements", status.statements}}
      .dump();
}

/// A session of this sandbox whose mount is gone is still committing: what it accepted comes first.
Status wait_for_ending_sessions(const Home& home, const SandboxId& sandbox) {
  for (const MountRecord& record : list_mount_records(home)) {
    if (!record.alive || record.sandbox != sandbox || mounted_at(record.mount_point).mounted) continue;
    // One that is only starting has no mount yet either, but answers on its socket; one that ends has said so.
    auto client = ControlClient::connect(record.control);
    if (client.ok() && client->status().ok()) continue;
    if (!wait_for_end(record, kEndingMs)) {
      return fail(EBUSY, cat("process ", record.pid, " is still committing what was written at ", record.mount_point));
    }
  }
  return {};
}

class HeldExecLock final : public ExecLock {
 public:
  HeldExecLock(Session& session, std::uint64_t number) : session_(session), number_(number) {}
  ~HeldExecLock() override { session_.release_exec_lock(number_); }
  bool lost() const override { return session_.exec_lock_lost(number_); }

 private:
  Session& session_;
  const std::uint64_t number_;
};

ControlHandlers handlers_of(Session& session, const MountRequest& request) {
  ControlHandlers handlers;
  handlers.sync = [&session](std::string* warning) { return session.sync(warning); };
  handlers.losses = [&session] { return session.losses(); };
  handlers.refresh = [&session] { return session.refresh(); };
  handlers.status = [&session] { return status_json(session.status()); };
  handlers.stop = [&session] { session.request_stop(); };
  handlers.lock = [&session](bool exclusive, std::int64_t timeout_ns,
                             const std::function<bool()>& cancelled) -> Result<std::unique_ptr<ExecLock>> {
    SBOXFS_ASSIGN(const std::uint64_t number, session.take_exec_lock(exclusive, timeout_ns, cancelled));
    return std::unique_ptr<ExecLock>(std::make_unique<HeldExecLock>(session, number));
  };
  if (request.for_exec) {
    handlers.detach_unused = [path = request.session.mount_point] { return detach(path, false).ok(); };
  }
  return handlers;
}

/// Waits for signals, and gives a mount that goes by itself its occasions.
class Attendant {
 public:
  Attendant(Session& session, ControlServer& control)
      : thread_([this, &session, &control] { attend(session, control); }) {}
  ~Attendant() {
    ended_ = true;
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }
  Attendant(const Attendant&) = delete;
  Attendant& operator=(const Attendant&) = delete;

 private:
  void attend(Session& session, ControlServer& control) const {
    const sigset_t signals = ending_signals();
    while (!ended_) {
      const timespec pause{0, 250'000'000};
      const int number = ::sigtimedwait(&signals, nullptr, &pause);
      if (number < 0) {
        control.go_if_unused();
      } else if (number != SIGUSR1) {
        log::info("signal ", number, ": unmounting");
        session.request_stop();
      }
    }
  }

  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace

Status serve_mount(const MountRequest& request, Readiness& readiness, bool& answered) {
  const sigset_t signals = ending_signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  SBOXFS_TRY(log::configure(request.log_level, request.log_file));
  remove_dead_records(request.home);
  SBOXFS_TRY(wait_for_ending_sessions(request.home, request.session.sandbox));
  MountRecord record;
  record.sandbox = request.session.sandbox;
  record.name = request.session.name;
  record.tenant = request.session.tenant;
  record.mount_point = request.session.mount_point;
  record.log_file = request.log_file;
  record.read_only = request.session.vfs.read_only;
  record.for_exec = request.for_exec;
  SBOXFS_ASSIGN(const OwnRecord own, OwnRecord::take(request.home, std::move(record)));
  SBOXFS_ASSIGN(const std::unique_ptr<Session> session, Session::open(request.session));
  SBOXFS_ASSIGN(const std::unique_ptr<ControlServer> control,
                ControlServer::start(own.record().control, handlers_of(*session, request)));
  session->set_idle_use({[&control] { return control->held(); },
                         [&control, &request] {
                           return control->unmount_unless_held([&request] {
                             const Status gone = detach(request.session.mount_point, false);
                             if (gone.ok()) log::info("idle_unmounted: ", request.session.mount_point);
                             return gone.ok();
                           });
                         }});
  Status ended;
  {
    const Attendant attendant(*session, *control);
    ended = session->run([&request, &readiness, &answered] {
      answered = true;
      if (readiness.background()) {
        if (const Status left = leave_terminal(request.log_file); !left.ok()) log::warn(left.error().what);
      }
      readiness.ready();
    });
  }
  if (!ended.ok()) log::error(ended.error().what);
  // Made for this mount. One that was detached lazily is still there, and then it stays.
  if (request.for_exec && ::rmdir(request.session.mount_point.c_str()) != 0 && errno != ENOENT) {
    log::info("the directory ", request.session.mount_point, " stays");
  }
  control->session_ended(ended);
  return ended;
}

}  // namespace sboxfs
