#include "sboxfs/base/users.hpp"

#include <pwd.h>

#include <cerrno>
#include <vector>

namespace sboxfs {
namespace {

template <class Call>
std::optional<User> look_up(const Call& call) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> words(1024);
  while (call(&entry, words.data(), words.size(), &found) == ERANGE) words.resize(words.size() * 2);
  if (found == nullptr) return std::nullopt;
  return User{entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir};
}

}  // namespace

std::optional<User> find_user(const std::string& name) {
  return look_up([&](passwd* entry, char* words, std::size_t size, passwd** found) {
    return ::getpwnam_r(name.c_str(), entry, words, size, found);
  });
}

std::optional<User> find_user(uid_t uid) {
  return look_up([&](passwd* entry, char* words, std::size_t size, passwd** found) {
    return ::getpwuid_r(uid, entry, words, size, found);
  });
}

}  // namespace sboxfs
