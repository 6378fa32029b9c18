// The system's users. Thread-safe (getpwnam_r(3), getpwuid_r(3)).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace sboxfs {

struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
};

/// Nothing: there is no such user, or the system's list can not be read.
std::optional<User> find_user(const std::string& name);
std::optional<User> find_user(uid_t uid);

}  // namespace sboxfs
