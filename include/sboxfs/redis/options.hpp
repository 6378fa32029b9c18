// Where Redis (or Valkey) is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/result.hpp"

namespace sboxfs {

struct RedisOptions {
  std::string path;  ///< a unix socket; empty: host and port
  std::string host;
  int port = 6379;
  int database = 0;
  std::string user;      ///< ACL user; empty: the default one
  std::string password;  ///< from --redis-password-file; never logged
  std::int64_t call_timeout_ns = 100 * kMillisecondNs;
};

/// `unix:///path` or `redis://[user@]host[:port][/database]` (an IPv6 host in brackets). EINVAL: what is wrong with it;
/// a URL with a password is refused, and the message does not repeat it.
Result<RedisOptions> parse_redis_url(std::string_view url);

}  // namespace sboxfs
