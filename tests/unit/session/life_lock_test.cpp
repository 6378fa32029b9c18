#include "life_lock.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

using namespace sboxfs;

namespace {

/// A home that goes with the test.
struct Home {
  Home() {
    char name[] = "/tmp/sboxfs-life-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Home() { std::filesystem::remove_all(path); }
  std::string file(const SessionId& session) const { return path + "/run/sessions/" + session.text(); }

  std::string path;
};

}  // namespace

TEST_CASE("life lock: alive while it is held, gone with a proper end, dead when the process left it") {
  const Home home;
  const SessionId living = Uuid::random();
  const SessionId dead = Uuid::random();
  std::optional<LifeLock> lock(LifeLock::take(home.path, living).value());
  CHECK(LifeLock::is_here(home.path, living));
  CHECK_FALSE(LifeLock::is_dead(home.path, living));
  std::ofstream(home.file(dead)).put('x');
  CHECK(LifeLock::is_dead(home.path, dead));
  CHECK_FALSE(LifeLock::is_dead(home.path, Uuid::random()));
  lock.reset();
  CHECK_FALSE(LifeLock::is_here(home.path, living));
  CHECK_FALSE(LifeLock::is_dead(home.path, living));
}

TEST_CASE("life lock: what the dead left a day ago is taken away, what the living hold stays") {
  const Home home;
  const SessionId living = Uuid::random(), dead = Uuid::random(), recent = Uuid::random();
  const LifeLock lock = LifeLock::take(home.path, living).value();
  for (const SessionId& session : {dead, recent}) std::ofstream(home.file(session)).put('x');
  const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours(25);
  for (const SessionId& session : {living, dead}) std::filesystem::last_write_time(home.file(session), old);
  const LifeLock next = LifeLock::take(home.path, Uuid::random()).value();
  CHECK(LifeLock::is_here(home.path, living));
  CHECK_FALSE(LifeLock::is_here(home.path, dead));
  CHECK(LifeLock::is_here(home.path, recent));
}
