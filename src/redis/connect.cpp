#include "connect.hpp"

#include <csignal>

#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

timeval time_of(std::int64_t ns) {
  return {static_cast<time_t>(ns / kSecondNs), static_cast<suseconds_t>(ns % kSecondNs / 1000)};
}

Status expect_ok(redisContext* context, const std::vector<std::string_view>& words) {
  const RedisReply reply = redis_command(context, words);
  if (!reply) return fail(EAGAIN, "Redis does not answer");
  if (reply->type == REDIS_REPLY_ERROR) return redis_error(*reply);
  return {};
}

}  // namespace

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
  if (word == "NOAUTH" || word == "WRONGPASS" || word == "NOPERM")
    return fail(EACCES, "Redis refuses the user or the password");
  if (word == "LOADING" || word == "BUSY" || word == "MASTERDOWN") return fail(EAGAIN, "Redis is not ready");
  return fail(EIO, cat("Redis answered an error (", word, ")"));
}

Result<RedisConnection> connect_redis(const RedisOptions& options) {
  // A peer that closes is an error of the call, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  const timeval timeout = time_of(options.call_timeout_ns);
  RedisConnection connection(options.path.empty() ? redisConnectWithTimeout(options.host.c_str(), options.port, timeout)
                                                  : redisConnectUnixWithTimeout(options.path.c_str(), timeout));
  if (!connection || connection->err != 0) return fail(EAGAIN, "Redis can not be reached");
  redisSetTimeout(connection.get(), timeout);
  if (!options.password.empty()) {
    if (options.user.empty()) {
      SBOXFS_TRY(expect_ok(connection.get(), {"AUTH", options.password}));
    } else {
      SBOXFS_TRY(expect_ok(connection.get(), {"AUTH", options.user, options.password}));
    }
  }
  if (options.database != 0) SBOXFS_TRY(expect_ok(connection.get(), {"SELECT", std::to_string(options.database)}));
  return connection;
}

}  // namespace sboxfs
