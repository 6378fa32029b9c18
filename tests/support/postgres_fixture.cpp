#include "postgres_fixture.hpp"

#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

namespace sboxfs::test {
namespace {

namespace fs = std::filesystem;

/// The newest installed server's programs.
fs::path binaries() {
  fs::path best;
  int newest = 0;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql")) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > newest && fs::exists(entry.path() / "bin" / "initdb")) {
      newest = version;
      best = entry.path() / "bin";
    }
  }
  if (best.empty()) throw std::runtime_error("no Postgres server is installed");
  return best;
}

/// Starts a program as user "postgres" when we are root (Postgres refuses root), its output in `log`.
pid_t spawn(const std::vector<std::string>& words, const std::string& log) {
  const passwd* user = geteuid() == 0 ? getpwnam("postgres") : nullptr;
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (out >= 0) {
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
  }
  if (user != nullptr && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (chdir("/") != 0) _exit(126);
  execv(argv[0], argv.data());
  _exit(127);
}

bool wait_exit(pid_t pid, int seconds, int& status) {
  for (int tries = seconds * 100; tries > 0; --tries) {
    if (waitpid(pid, &status, WNOHANG) == pid) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

PostgresFixture& PostgresFixture::shared() {
  static PostgresFixture fixture;
  return fixture;
}

PostgresFixture::PostgresFixture() {
  char name[] = "/tmp/sbxpg-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp failed");
  dir_ = name;
  if (geteuid() == 0) {
    const passwd* user = getpwnam("postgres");
    if (user == nullptr || chown(name, user->pw_uid, user->pw_gid) != 0) {
      throw std::runtime_error("no user postgres to run the server as");
    }
  }
  int status = 0;
  const pid_t initdb = spawn({(binaries() / "initdb").string(), "-D", dir_ + "/data", "-U", "postgres", "-A", "trust",
                              "-E", "UTF8", "--no-locale", "--no-sync"},
                             dir_ + "/log");
  if (!wait_exit(initdb, 60, status) || status != 0) throw std::runtime_error("initdb failed, see " + dir_ + "/log");
  start();
}

PostgresFixture::~PostgresFixture() {
  stop();
  std::error_code ignored;  // nothing can be done about it in a destructor at exit
  fs::remove_all(dir_, ignored);
}

void PostgresFixture::start() {
  server_ =
      spawn({(binaries() / "postgres").string(), "-D", dir_ + "/data", "-k", dir_, "-c", "listen_addresses=", "-c",
             "unix_socket_permissions=0777", "-c", "fsync=on", "-c", "max_connections=60", "-c", "shared_buffers=64MB"},
            dir_ + "/log");
  for (int tries = 0; tries < 3000; ++tries) {
    if (PQping(conninfo().c_str()) == PQPING_OK) return;
    int status = 0;
    if (waitpid(server_, &status, WNOHANG) == server_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("Postgres did not start, see " + dir_ + "/log");
}

void PostgresFixture::stop() {
  if (server_ <= 0) return;
  resume();
  int status = 0;
  kill(server_, SIGINT);
  if (!wait_exit(server_, 20, status)) {
    kill(server_, SIGQUIT);
    if (!wait_exit(server_, 5, status)) {
      kill(server_, SIGKILL);
      waitpid(server_, &status, 0);
    }
  }
  server_ = -1;
}

void PostgresFixture::restart() {
  stop();
  start();
}

std::string PostgresFixture::conninfo() const { return "host=" + dir_ + " port=5432 user=postgres dbname=postgres"; }

std::vector<pid_t> PostgresFixture::processes() const {
  std::vector<pid_t> out{server_};
  const std::string pid = std::to_string(server_);
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  for (pid_t child = 0; children >> child;) out.push_back(child);
  return out;
}

void PostgresFixture::pause() {
  kill(server_, SIGSTOP);  // first, so that it starts no more
  for (pid_t pid : processes()) kill(pid, SIGSTOP);
}

void PostgresFixture::resume() {
  for (pid_t pid : processes()) kill(pid, SIGCONT);
}

std::vector<std::string> PostgresFixture::query(const std::string& sql) const {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> conn(PQconnectdb(conninfo().c_str()), PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(conn.get(), sql.c_str()), PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw std::runtime_error(PQerrorMessage(conn.get()));
  std::vector<std::string> out;
  for (int row = 0; row < PQntuples(result.get()); ++row) out.emplace_back(PQgetvalue(result.get(), row, 0));
  return out;
}

}  // namespace sboxfs::test
