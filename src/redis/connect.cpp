#include "connect.hpp"

#include <fcntl.h>

#include <algorithm>
#include <csignal>
#include <mutex>

#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

timeval time_of(std::int64_t ns) {
  ns = std::max(ns, kMillisecondNs);  // 0 would mean for ever
  return {static_cast<time_t>(ns / kSecondNs), static_cast<suseconds_t>(ns % kSecondNs / 1000)};
}

// hiredis writes without MSG_NOSIGNAL: a peer that closes must be an error of the call, not the end of the process.
void ignore_sigpipe() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction now {};
    if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) std::signal(SIGPIPE, SIG_IGN);
  });
}

Status expect_ok(redisContext* context, const std::vector<std::string_view>& words) {
  const RedisReply reply = redis_command(context, words);
  if (!reply) return fail(EAGAIN, "Redis does not answer");
  if (reply->type == REDIS_REPLY_ERROR) return redis_error(*reply);
  return {};
}

Status authenticate(redisContext* context, const RedisOptions& options) {
  if (options.password.empty()) return {};
  std::vector<std::string_view> words{"AUTH"};
  if (!options.user.empty()) words.emplace_back(options.user);
  words.emplace_back(options.password);
  Status status = expect_ok(context, words);
  // A Redis without a password says ERR here.
  if (status.code() == EIO) return fail(EACCES, "Redis does not accept a password");
  return status;
}

}  // namespace

void limit_redis(redisContext* context, std::int64_t ns) { redisSetTimeout(context, time_of(ns)); }

RedisReply redis_command(redisContext* context, const std::vector<std::string_view>& words) {
  std::vector<const char*> pointers;
  std::vector<std::size_t> sizes;
  for (std::string_view word : words) {
    pointers.push_back(word.data());
    sizes.push_back(word.size());
  }
  return RedisReply(static_cast<redisReply*>(
      redisCommandArgv(context, static_cast<int>(words.size()), pointers.data(), sizes.data())));
}

Error redis_error(const redisReply& reply) {
  const std::string_view text(reply.str, reply.len);
  const std::string_view word = text.substr(0, text.find(' '));
  if (word == "NOAUTH") return fail(EACCES, "Redis wants a password");
  if (word == "WRONGPASS") return fail(EACCES, "Redis refuses the user or the password");
  if (word == "NOPERM") return fail(EACCES, "Redis does not allow its user to do this");
  if (word == "LOADING" || word == "BUSY" || word == "MASTERDOWN" || word == "READONLY" ||
      text.find("max number of clients") != std::string_view::npos)
    return fail(EAGAIN, cat("Redis is not ready (", word, ")"));
  return fail(EIO, cat("Redis answered an error (", word, ")"));
}

Result<RedisConnection> connect_redis(const RedisOptions& options) {
  ignore_sigpipe();
  const timeval timeout = time_of(options.call_timeout_ns);
  RedisConnection connection(options.path.empty() ? redisConnectWithTimeout(options.host.c_str(), options.port, timeout)
                                                  : redisConnectUnixWithTimeout(options.path.c_str(), timeout));
  if (!connection) return fail(EAGAIN, "Redis can not be reached: no memory");
  if (connection->err != 0) return fail(EAGAIN, cat("Redis can not be reached: ", connection->errstr));
  // hiredis leaves the descriptor open for programs that this process starts.
  if (::fcntl(connection->fd, F_SETFD, FD_CLOEXEC) != 0) return fail(errno, "can not set up the connection to Redis");
  limit_redis(connection.get(), options.call_timeout_ns);
  SBOXFS_TRY(authenticate(connection.get(), options));
  if (options.database != 0) SBOXFS_TRY(expect_ok(connection.get(), {"SELECT", std::to_string(options.database)}));
  SBOXFS_TRY(expect_ok(connection.get(), {"PING"}));
  return connection;
}

}  // namespace sboxfs
