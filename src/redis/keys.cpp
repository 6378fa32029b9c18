#include "sboxfs/redis/keys.hpp"

#include "connect.hpp"
#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

constexpr std::int64_t kRetryNs = 500 * kMillisecondNs;

// A key of the wrong type or with a value that is no number is replaced: it can only have come from outside. Versions
// are compared as decimal text by length first, since Lua's numbers are exact only up to 2^53.
constexpr std::string_view kPublish = R"lua(
local ok, now = pcall(redis.call, 'GET', KEYS[1])
if type(now) ~= 'string' or not string.match(now, '^[1-9]%d*$') then now = nil end
local new = ARGV[1]
if not now or #new > #now or (#new == #now and new > now) then
  redis.call('SET', KEYS[1], new)
  now = new
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return now
)lua";

constexpr std::string_view kLower = R"lua(
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return 'OK'
)lua";

std::optional<Version> to_version(std::string_view text) {
  Version value = 0;
  if (text.empty() || text.size() > 18) return std::nullopt;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string version_key(const std::string& tenant, const SandboxId& id) {
  return cat("vfs:", tenant, ":ver:", id.text());
}
std::string news_channel(const std::string& tenant, const SandboxId& id) {
  return cat("vfs:", tenant, ":news:", id.text());
}

/// What a call answered, when that was no error.
struct RedisKeys::Reply {
  std::optional<std::string> text;
  bool unknown_script = false;
};

RedisKeys::RedisKeys(RedisOptions options, std::string tenant)
    : options_(std::move(options)), tenant_(std::move(tenant)) {}

RedisKeys::~RedisKeys() {
  MutexLock lock(turn_);
  disconnect();
}

void RedisKeys::disconnect() {
  if (context_ != nullptr) redisFree(context_);
  context_ = nullptr;
}

Status RedisKeys::connect() {
  if (context_ != nullptr) return {};
  Result<RedisConnection> connection = connect_redis(options_);
  if (!connection.ok()) return connection.error();
  context_ = connection->release();
  return {};
}

Result<RedisKeys::Reply> RedisKeys::call(const Words& words) {
  const auto open = [this] { return retry_ns_ != 0 && clock_.monotonic_ns() < retry_ns_; };
  if (open()) return fail(EAGAIN, "Redis is away");
  MutexLock lock(turn_);
  if (open()) return fail(EAGAIN, "Redis is away");  // it went away while this call waited for its turn
  const auto failed = [this](Error error) {
    turn_.assert_held();
    disconnect();
    retry_ns_ = clock_.monotonic_ns() + kRetryNs;
    return error;
  };
  if (const Status connected = connect(); !connected.ok()) return failed(connected.error());
  const RedisReply reply = redis_command(context_, words);
  if (!reply) return failed(fail(EAGAIN, "Redis does not answer"));
  if (reply->type == REDIS_REPLY_ERROR) {
    const std::string_view text(reply->str, reply->len);
    if (text.substr(0, 8) == "NOSCRIPT") return Reply{std::nullopt, true};
    return failed(redis_error(*reply));
  }
  retry_ns_ = 0;
  Reply out;
  if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
    out.text = std::string(reply->str, reply->len);
  if (reply->type == REDIS_REPLY_INTEGER) out.text = std::to_string(reply->integer);
  return out;
}

Result<RedisKeys::Reply> RedisKeys::run_script(std::string_view script, std::string& sha, const Words& rest) {
  std::string known;
  {
    MutexLock lock(sha_mutex_);
    known = sha;
  }
  if (!known.empty()) {
    Words words{"EVALSHA", known, "1"};
    words.insert(words.end(), rest.begin(), rest.end());
    SBOXFS_ASSIGN(Reply reply, call(words));
    if (!reply.unknown_script) return reply;
  }
  // Redis forgets scripts when it restarts: loaded again, then run.
  SBOXFS_ASSIGN(const Reply loaded, call({"SCRIPT", "LOAD", script}));
  if (!loaded.text) return fail(EIO, "Redis did not load the script");
  {
    MutexLock lock(sha_mutex_);
    sha = *loaded.text;
  }
  Words words{"EVALSHA", *loaded.text, "1"};
  words.insert(words.end(), rest.begin(), rest.end());
  return call(words);
}

Result<Version> RedisKeys::publish(const SandboxId& id, Version version, std::string_view message) {
  const std::string key = version_key(tenant_, id);
  const std::string number = std::to_string(version);
  const std::string channel = news_channel(tenant_, id);
  SBOXFS_ASSIGN(const Reply reply, run_script(kPublish, publish_sha_, {key, number, channel, message}));
  const std::optional<Version> now = reply.text ? to_version(*reply.text) : std::nullopt;
  if (!now) return fail(EIO, "Redis answered no version");
  return *now;
}

Status RedisKeys::announce(const SandboxId& id, std::string_view message) {
  const std::string channel = news_channel(tenant_, id);
  const Result<Reply> reply = call({"PUBLISH", channel, message});
  return reply.ok() ? Status() : Status(reply.error());
}

Result<std::optional<Version>> RedisKeys::published(const SandboxId& id) {
  const std::string key = version_key(tenant_, id);
  SBOXFS_ASSIGN(const Reply reply, call({"GET", key}));
  return reply.text ? to_version(*reply.text) : std::nullopt;
}

Status RedisKeys::lower(const SandboxId& id, Version from, Version to) {
  const std::string key = version_key(tenant_, id);
  const std::string before = std::to_string(from);
  const std::string after = std::to_string(to);
  const Result<Reply> reply = run_script(kLower, lower_sha_, {key, before, after});
  return reply.ok() ? Status() : Status(reply.error());
}

Status RedisKeys::erase(const SandboxId& id) {
  const std::string key = version_key(tenant_, id);
  const Result<Reply> reply = call({"DEL", key});
  return reply.ok() ? Status() : Status(reply.error());
}

}  // namespace sboxfs
