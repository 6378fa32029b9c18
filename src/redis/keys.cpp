#include "sboxfs/redis/keys.hpp"

#include <vector>

#include "link.hpp"
#include "sboxfs/base/text.hpp"
#include "scripts.hpp"

namespace sboxfs {
namespace {

bool is_error(const redisReply& reply, std::string_view word) {
  return reply.type == REDIS_REPLY_ERROR && std::string_view(reply.str, reply.len).substr(0, word.size()) == word;
}

/// The answer; an error reply becomes an Error.
Result<RedisReply> checked(Result<RedisReply> reply) {
  if (reply.ok() && (*reply)->type == REDIS_REPLY_ERROR) return redis_error(**reply);
  return reply;
}

Status done(const Result<RedisReply>& reply) { return reply.ok() ? Status() : Status(reply.error()); }

/// Runs a script on one key, by its name if Redis still has it, else (it was restarted) by its text.
Result<RedisReply> run_script(CommandLink& link, const Script& script,
                              const std::vector<std::string_view>& key_and_arguments) {
  const std::int64_t deadline = link.deadline();
  std::vector<std::string_view> words{"EVALSHA", script.sha, "1"};
  words.insert(words.end(), key_and_arguments.begin(), key_and_arguments.end());
  Result<RedisReply> reply = link.call(words, deadline);
  if (reply.ok() && is_error(**reply, "NOSCRIPT")) {
    words[0] = "EVAL";
    words[1] = script.text;
    reply = link.call(words, deadline);
  }
  return checked(std::move(reply));
}

/// What the publish script takes for a version, too.
std::optional<Version> to_version(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_STRING || reply.len == 0 || reply.len > 18 || reply.str[0] == '0') return std::nullopt;
  Version value = 0;
  for (char c : std::string_view(reply.str, reply.len)) {
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

RedisKeys::RedisKeys(RedisOptions options, std::string tenant)
    : options_(std::move(options)), tenant_(std::move(tenant)), link_(std::make_unique<CommandLink>(options_)) {}

RedisKeys::~RedisKeys() = default;

Result<Version> RedisKeys::publish(const SandboxId& id, Version version, std::string_view message) {
  const std::string key = version_key(tenant_, id);
  const std::string number = std::to_string(version);
  const std::string channel = news_channel(tenant_, id);
  SBOXFS_ASSIGN(const RedisReply reply, run_script(*link_, publish_script(), {key, number, channel, message}));
  const std::optional<Version> now = to_version(*reply);
  if (!now) return fail(EIO, "Redis answered no version");
  return *now;
}

Status RedisKeys::announce(const SandboxId& id, std::string_view message) {
  const std::string channel = news_channel(tenant_, id);
  return done(checked(link_->call({"PUBLISH", channel, message}, link_->deadline())));
}

Result<std::optional<Version>> RedisKeys::published(const SandboxId& id) {
  const std::string key = version_key(tenant_, id);
  Result<RedisReply> reply = link_->call({"GET", key}, link_->deadline());
  if (reply.ok() && is_error(**reply, "WRONGTYPE")) return std::optional<Version>();
  SBOXFS_ASSIGN(const RedisReply value, checked(std::move(reply)));
  return to_version(*value);
}

Status RedisKeys::lower(const SandboxId& id, Version from, Version to) {
  const std::string key = version_key(tenant_, id);
  const std::string before = std::to_string(from);
  const std::string after = std::to_string(to);
  return done(run_script(*link_, lower_script(), {key, before, after}));
}

Status RedisKeys::erase(const SandboxId& id) {
  const std::string key = version_key(tenant_, id);
  return done(checked(link_->call({"DEL", key}, link_->deadline())));
}

void RedisKeys::close_breaker() { link_->retry_now(); }
void RedisKeys::disconnect() { link_->disconnect(); }

}  // namespace sboxfs
