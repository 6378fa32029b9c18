// A Postgres of the test program's own: in a temporary directory, on a unix socket only, with fsync on; stopped and
// removed when the program ends (killed with it when it crashes).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sboxfs::test {

class PostgresFixture {
 public:
  /// The program's server, started at the first call. Throws std::runtime_error when that fails.
  static PostgresFixture& shared();

  PostgresFixture();
  ~PostgresFixture();
  PostgresFixture(const PostgresFixture&) = delete;
  PostgresFixture& operator=(const PostgresFixture&) = delete;

  /// As the superuser "postgres", database "postgres". Everybody local is trusted.
  std::string conninfo() const;
  /// The directory of the socket (".s.PGSQL.5432").
  const std::string& socket_dir() const { return dir_; }

  /// SIGSTOP for the server and everything it has started: connections stay, nobody answers.
  void pause();
  void resume();
  /// Stops it (fast) and starts it again on the same data.
  void restart();

  /// Runs one statement as the superuser; the first column of its rows as text. Throws when it fails.
  std::vector<std::string> query(const std::string& sql) const;

 private:
  void start();
  void stop();
  std::vector<pid_t> processes() const;

  std::string dir_;
  pid_t server_ = -1;
};

}  // namespace sboxfs::test
