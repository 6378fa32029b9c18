// The two servers, each in its own file. The caller holds services.lock.
#pragma once

#include <string>

#include "sboxfs/base/result.hpp"
#include "sboxfs/services/home.hpp"
#include "sboxfs/services/process.hpp"
#include "sboxfs/services/services.hpp"

namespace sboxfs::services_detail {

constexpr int kStartTimeoutMs = 60'000;
constexpr int kStopTimeoutMs = 60'000;
constexpr const char* kDatabase = "sboxfs";

/// A data directory as /proc shows it: links resolved; the path itself while it does not exist.
std::string resolved(const std::string& path);
/// EACCES, naming the directory, when `user` can not pass through what leads to `path`.
Status check_reachable(const std::string& path, const ServiceUser& user);
/// The last line of a log, for an error message; empty when there is none.
std::string last_line(const std::string& file);

Status start_postgres(const Home& home, const ServiceAddresses& addresses, const ServiceUser& user);
Status stop_postgres(const Home& home);
/// 0 when it does not run.
pid_t postgres_pid(const Home& home);

Status start_redis(const Home& home, const ServiceAddresses& addresses, const ServiceUser& user);
Status stop_redis(const Home& home);
pid_t redis_pid(const Home& home);

}  // namespace sboxfs::services_detail
