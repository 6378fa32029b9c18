// What every daemon does for its tenant besides its own sandbox: publishes what others left in the outbox, and deletes
// in small steps what nobody can reach any more.
#pragma once

#include <string>
#include <thread>

#include "sboxfs/base/clock.hpp"
#include "sboxfs/base/mutex.hpp"
#include "sboxfs/pg/pool.hpp"
#include "sboxfs/redis/keys.hpp"

namespace sboxfs {

/// Thread-safe; one thread.
class Housekeeper {
 public:
  Housekeeper(PgPool& pool, RedisKeys& keys, std::string tenant, std::int64_t interval_ns)
      : pool_(pool), keys_(keys), tenant_(std::move(tenant)), interval_ns_(interval_ns) {}
  ~Housekeeper();
  void start();
  void stop();

 private:
  void loop(std::stop_token stop);
  void publish_outbox();
  void delete_garbage(std::stop_token stop);
  void purge_destroyed(std::stop_token stop);
  bool pause(std::stop_token stop, std::int64_t ns);

  PgPool& pool_;
  RedisKeys& keys_;
  const std::string tenant_;
  const std::int64_t interval_ns_;
  Mutex mutex_;
  CondVar wake_;
  std::jthread thread_;
};

}  // namespace sboxfs
