// A Redis (or Valkey) of the test's own: in a temporary directory, on a unix socket only, keeping nothing on disk;
// stopped and removed with the object (killed with the program when that crashes).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sboxfs::test {

class RedisFixture {
 public:
  /// Starts the server, with more `arguments` if need be. Throws std::runtime_error when that fails.
  explicit RedisFixture(std::vector<std::string> arguments = {});
  ~RedisFixture();
  RedisFixture(const RedisFixture&) = delete;
  RedisFixture& operator=(const RedisFixture&) = delete;

  std::string socket() const { return dir_ + "/redis.sock"; }
  /// What `--redis` takes.
  std::string url() const { return "unix://" + socket(); }

  /// SIGSTOP: connections stay, new ones are still accepted by the kernel, nobody answers.
  void pause();
  void resume();
  /// SIGKILL; everything in it is lost.
  void kill();
  /// After kill(): an empty server in the old one's place.
  void start();

  /// One command on a connection of its own, perhaps behind an AUTH with `password`. The answer as text: "(nil)",
  /// "(error) ...", and the elements of an array one a line. Throws when nobody answers.
  std::string command(const std::vector<std::string>& words, const std::string& password = {}) const;

 private:
  bool answers() const;

  std::string dir_;
  std::vector<std::string> arguments_;
  pid_t server_ = -1;
};

}  // namespace sboxfs::test
