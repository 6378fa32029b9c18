#include "sboxfs/services/services.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>

#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "servers.hpp"

namespace sboxfs {
namespace {

constexpr std::string_view kLongestSocketName = ".s.PGSQL.5432";

}  // namespace

namespace services_detail {

std::string resolved(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

Status check_reachable(const std::string& path, const ServiceUser& user) {
  if (!user.is_another()) return {};
  std::filesystem::path walked;
  for (const auto& part : std::filesystem::path(resolved(path))) {
    walked /= part;
    struct stat attr {};
    if (::stat(walked.c_str(), &attr) != 0) return fail(errno, cat("can not reach ", walked.string()));
    const unsigned mode = attr.st_uid == user.uid   ? attr.st_mode >> 6U
                          : attr.st_gid == user.gid ? attr.st_mode >> 3U
                                                    : attr.st_mode;
    if ((mode & 1U) == 0) {
      return fail(EACCES, cat("the private services run as user ", user.name, ", who can not enter ", walked.string(),
                              ": set SBOXFS_HOME to another place, or chmod o+x it"));
    }
  }
  return {};
}

std::string last_line(const std::string& file) {
  auto text = read_text_file(file);
  if (!text.ok()) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return text->substr(text->find_last_of('\n') + 1);
}

}  // namespace services_detail

std::string ServiceAddresses::postgres_as(const std::string& role) const {
  return cat("host=", socket_dir, " port=5432 user=", role, " dbname=", services_detail::kDatabase);
}

ServiceAddresses service_addresses(const Home& home) {
  ServiceAddresses addresses;
  addresses.socket_dir = home.socket_dir(home.root + "/sockets", kLongestSocketName.size());
  addresses.admin_postgres = addresses.postgres_as("postgres");
  addresses.redis = cat("unix://", addresses.socket_dir, "/redis.sock");
  return addresses;
}

Result<ServiceAddresses> start_services(const Home& home) {
  SBOXFS_TRY(home.prepare());
  SBOXFS_ASSIGN(const ServiceUser user, ServiceUser::find());
  SBOXFS_TRY(services_detail::check_reachable(home.root, user));
  SBOXFS_ASSIGN(const UniqueFd lock, lock_file(home.root + "/services.lock"));
  const ServiceAddresses addresses = service_addresses(home);
  SBOXFS_TRY(make_private_directory(addresses.socket_dir, user.uid, user.gid));
  SBOXFS_TRY(services_detail::start_postgres(home, addresses, user));
  SBOXFS_TRY(services_detail::start_redis(home, addresses, user));
  return addresses;
}

Status stop_services(const Home& home) {
  std::error_code error;
  if (!std::filesystem::exists(home.root, error)) return {};
  SBOXFS_ASSIGN(const UniqueFd lock, lock_file(home.root + "/services.lock"));
  SBOXFS_TRY(services_detail::stop_postgres(home));
  return services_detail::stop_redis(home);
}

ServiceStatus service_status(const Home& home) {
  ServiceStatus status;
  status.postgres = services_detail::postgres_pid(home);
  status.redis = services_detail::redis_pid(home);
  status.initialised = ::access((home.postgres_dir() + "/PG_VERSION").c_str(), F_OK) == 0;
  return status;
}

}  // namespace sboxfs
