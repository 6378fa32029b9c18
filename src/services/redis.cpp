#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "sboxfs/base/text.hpp"
#include "servers.hpp"

namespace sboxfs::services_detail {
namespace {

constexpr int kPollMs = 20;

std::vector<RunningProcess> server_processes(const Home& home) {
  return find_processes(resolved(home.redis_dir()), {"redis-server", "valkey-server"});
}

std::string socket_path(const ServiceAddresses& addresses) { return addresses.socket_dir + "/redis.sock"; }

/// PING by hand: this layer needs no more of the protocol.
bool answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() > kLongestSocketPath) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{1, 0};
  if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) return false;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  constexpr std::string_view kPing = "PING\r\n";
  if (::send(fd.get(), kPing.data(), kPing.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kPing.size())) return false;
  char answer[5];
  return ::recv(fd.get(), answer, sizeof answer, MSG_WAITALL) == 5 && std::memcmp(answer, "+PONG", 5) == 0;
}

Result<std::string> redis_program() {
  std::string path = "/usr/bin:/usr/local/bin:/usr/sbin:/usr/local/sbin";
  if (const char* own = std::getenv("PATH"); own != nullptr) path = cat(own, ":", path);
  for (const char* name : {"redis-server", "valkey-server"}) {
    for (std::size_t start = 0; start < path.size();) {
      const std::size_t end = std::min(path.find(':', start), path.size());
      const std::string program = cat(path.substr(start, end - start), "/", name);
      if (program.front() == '/' && ::access(program.c_str(), X_OK) == 0) return program;
      start = end + 1;
    }
  }
  return fail(ENOENT, "no redis-server nor valkey-server on this machine: install the package redis-server");
}

}  // namespace

pid_t redis_pid(const Home& home) {
  const auto running = server_processes(home);
  return running.empty() ? 0 : running.front().pid();
}

Status start_redis(const Home& home, const ServiceAddresses& addresses, const ServiceUser& user) {
  if (redis_pid(home) != 0) {
    if (answers(socket_path(addresses))) return {};
    // It has lost its socket or hangs. It keeps nothing worth waiting for.
    SBOXFS_TRY(stop_redis(home));
  }
  SBOXFS_ASSIGN(const std::string program, redis_program());
  SBOXFS_TRY(make_private_directory(home.redis_dir(), user.uid, user.gid));
  Program server;
  server.argv = {program,
                 "--port",
                 "0",
                 "--unixsocket",
                 socket_path(addresses),
                 "--unixsocketperm",
                 "700",
                 "--save",
                 "",
                 "--appendonly",
                 "no",
                 "--daemonize",
                 "no",
                 "--dir",
                 home.redis_dir()};
  server.cwd = home.redis_dir();
  server.output = home.log_dir() + "/redis.log";
  SBOXFS_ASSIGN(const pid_t pid, start_program(server, user));
  const auto process = RunningProcess::find(pid, resolved(home.redis_dir()));
  for (int waited = 0; process.ok() && waited < kStartTimeoutMs; waited += kPollMs) {
    if (answers(socket_path(addresses))) return {};
    if (process->ended(kPollMs)) break;
    if (waited + kPollMs >= kStartTimeoutMs) return fail(ETIMEDOUT, cat("Redis does not answer; see ", server.output));
  }
  return fail(EIO, cat("Redis did not start: ", last_line(server.output), " (", server.output, ")"));
}

Status stop_redis(const Home& home) {
  for (const RunningProcess& process : server_processes(home)) {
    SBOXFS_TRY(process.signal(SIGTERM));
    if (process.ended(5'000)) continue;
    SBOXFS_TRY(process.signal(SIGKILL));
    if (!process.ended(kStopTimeoutMs))
      return fail(ETIMEDOUT, cat("Redis (process ", process.pid(), ") does not stop"));
  }
  return {};
}

}  // namespace sboxfs::services_detail
