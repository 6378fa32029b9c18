#include "bus.hpp"

#include "sboxfs/cli/arguments.hpp"
#include "sboxfs/redis/bus.hpp"

namespace sboxfs::cli {

std::unique_ptr<Bus> open_bus(const Endpoints& endpoints, const SandboxId& sandbox) {
  Result<RedisOptions> options = parse_redis_url(endpoints.settings.redis);
  if (!options.ok()) stop(Exit::usage, options.error().what);
  options->password = endpoints.redis_password;
  return std::make_unique<RedisBus>(std::move(*options), endpoints.settings.tenant, sandbox);
}

}  // namespace sboxfs::cli
