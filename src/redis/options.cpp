#include "sboxfs/redis/options.hpp"

#include <sys/un.h>

#include <charconv>

namespace sboxfs {
namespace {

Result<int> number(std::string_view text, int least, int most, const char* what) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    return fail(EINVAL, std::string("the Redis address has a bad ") + what);
  return value;
}

Status parse_host(std::string_view place, RedisOptions& options) {
  std::string_view port;
  if (!place.empty() && place.front() == '[') {
    const auto end = place.find(']');
    if (end == std::string_view::npos) return fail(EINVAL, "the Redis address has an open bracket");
    options.host = place.substr(1, end - 1);
    place.remove_prefix(end + 1);
    if (!place.empty() && place.front() != ':') return fail(EINVAL, "the Redis address has a bad port");
    if (!place.empty()) port = place.substr(1);
  } else {
    const auto colon = place.find(':');
    options.host = place.substr(0, colon);
    if (colon != std::string_view::npos) port = place.substr(colon + 1);
  }
  if (options.host.empty()) return fail(EINVAL, "the Redis address has no host");
  if (!port.empty()) {
    SBOXFS_ASSIGN(options.port, number(port, 1, 65535, "port"));
  }
  return {};
}

}  // namespace

Result<RedisOptions> parse_redis_url(std::string_view url) {
  RedisOptions options;
  constexpr std::string_view kUnix = "unix://";
  constexpr std::string_view kTcp = "redis://";
  if (url.substr(0, kUnix.size()) == kUnix) {
    options.path = url.substr(kUnix.size());
    if (options.path.empty() || options.path.front() != '/')
      return fail(EINVAL, "the Redis address wants an absolute path: unix:///path");
    // Longer ones would be cut off without a word.
    if (options.path.size() >= sizeof(sockaddr_un::sun_path))
      return fail(EINVAL, "the Redis address has a socket path of more than 107 bytes");
    return options;
  }
  if (url.substr(0, kTcp.size()) != kTcp)
    return fail(EINVAL, "the Redis address must be unix:///path or redis://host:port/database");
  std::string_view rest = url.substr(kTcp.size());
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    options.user = rest.substr(0, at);
    if (options.user.find(':') != std::string::npos)
      return fail(EINVAL, "the Redis address must not hold a password; use --redis-password-file");
    rest.remove_prefix(at + 1);
  }
  const auto slash = rest.find('/');
  SBOXFS_TRY(parse_host(rest.substr(0, slash), options));
  if (slash != std::string_view::npos && slash + 1 < rest.size()) {
    SBOXFS_ASSIGN(options.database, number(rest.substr(slash + 1), 0, 1'000'000, "database number"));
  }
  return options;
}

}  // namespace sboxfs
