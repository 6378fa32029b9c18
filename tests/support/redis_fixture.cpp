#include "redis_fixture.hpp"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <thread>

namespace sboxfs::test {
namespace {

namespace fs = std::filesystem;

std::string program() {
  for (const char* dir : {"/usr/bin/", "/usr/local/bin/"})
    for (const char* name : {"redis-server", "valkey-server"})
      if (const std::string path = std::string(dir) + name; ::access(path.c_str(), X_OK) == 0) return path;
  throw std::runtime_error("neither redis-server nor valkey-server is installed");
}

pid_t spawn(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (out >= 0) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
  }
  ::signal(SIGPIPE, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

std::string text_of(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_NIL: return "(nil)";
    case REDIS_REPLY_INTEGER: return std::to_string(reply.integer);
    case REDIS_REPLY_ERROR: return "(error) " + std::string(reply.str, reply.len);
    case REDIS_REPLY_ARRAY: {
      std::string out;
      for (std::size_t i = 0; i < reply.elements; ++i) out += text_of(*reply.element[i]) + "\n";
      return out;
    }
    default: return {reply.str, reply.len};
  }
}

using Context = std::unique_ptr<redisContext, decltype(&redisFree)>;

std::string run(redisContext* context, const std::vector<std::string>& words) {
  std::vector<const char*> pointers;
  std::vector<std::size_t> sizes;
  for (const std::string& word : words) {
    pointers.push_back(word.data());
    sizes.push_back(word.size());
  }
  const std::unique_ptr<void, decltype(&freeReplyObject)> reply(
      redisCommandArgv(context, static_cast<int>(words.size()), pointers.data(), sizes.data()), freeReplyObject);
  if (!reply) throw std::runtime_error("Redis does not answer");
  return text_of(*static_cast<const redisReply*>(reply.get()));
}

}  // namespace

RedisFixture::RedisFixture(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  char name[] = "/tmp/sbxredis-XXXXXX";
  if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp failed");
  dir_ = name;
  start();
}

RedisFixture::~RedisFixture() {
  kill();
  std::error_code ignored;  // nothing can be done about it in a destructor
  fs::remove_all(dir_, ignored);
}

bool RedisFixture::answers() const {
  try {
    // Any answer: NOAUTH is one too.
    return !command({"PING"}).empty();
  } catch (const std::runtime_error&) {
    return false;
  }
}

void RedisFixture::start() {
  std::vector<std::string> words{program(), "--port", "0", "--unixsocket", socket(), "--unixsocketperm",
                                 "700",     "--save", "",  "--appendonly", "no",     "--dir",
                                 dir_};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  server_ = spawn(words, dir_ + "/log");
  for (int tries = 0; tries < 3000; ++tries) {
    if (answers()) return;
    int status = 0;
    if (::waitpid(server_, &status, WNOHANG) == server_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  server_ = -1;
  throw std::runtime_error("Redis did not start, see " + dir_ + "/log");
}

void RedisFixture::kill() {
  if (server_ <= 0) return;
  ::kill(server_, SIGKILL);
  int status = 0;
  ::waitpid(server_, &status, 0);
  server_ = -1;
  ::unlink(socket().c_str());
}

void RedisFixture::pause() { ::kill(server_, SIGSTOP); }
void RedisFixture::resume() { ::kill(server_, SIGCONT); }

std::string RedisFixture::command(const std::vector<std::string>& words, const std::string& password) const {
  const Context context(redisConnectUnixWithTimeout(socket().c_str(), {5, 0}), redisFree);
  if (!context || context->err != 0) throw std::runtime_error("Redis can not be reached");
  redisSetTimeout(context.get(), {5, 0});
  if (!password.empty()) run(context.get(), {"AUTH", password});
  return run(context.get(), words);
}

}  // namespace sboxfs::test
