// A connection to Redis, ready to use.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <string_view>
#include <vector>

#include "sboxfs/base/result.hpp"
#include "sboxfs/redis/options.hpp"

namespace sboxfs {

struct FreeRedis {
  void operator()(redisContext* context) const { redisFree(context); }
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using RedisConnection = std::unique_ptr<redisContext, FreeRedis>;
using RedisReply = std::unique_ptr<redisReply, FreeRedis>;

/// Connects, authenticates, selects the database and asks for a sign of life, each step within the call time-out (a
/// host name may take longer to look up). Errors: EAGAIN unreachable or not ready, EACCES the password or user is
/// refused, EIO anything else it answered.
Result<RedisConnection> connect_redis(const RedisOptions& options);

/// How long each read or write of this connection may take from now on; at least a millisecond.
void limit_redis(redisContext* context, std::int64_t ns);

/// One command; null when the connection broke or timed out (it is of no more use then).
RedisReply redis_command(redisContext* context, const std::vector<std::string_view>& words);

/// What an error reply means. Never with the words Redis was sent.
Error redis_error(const redisReply& reply);

}  // namespace sboxfs
