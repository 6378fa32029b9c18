#include "sboxfs/exec/mount_record.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "temp_dir.hpp"

using namespace sboxfs;

namespace {

MountRecord sample() {
  MountRecord record;
  record.sandbox = Uuid::random();
  record.name = "box";
  record.tenant = "default";
  record.mount_point = "/somewhere/a \"b\"";
  record.read_only = true;
  return record;
}

}  // namespace

TEST_CASE("mount record: what is written is what is read") {
  MountRecord record = sample();
  record.pid = 7;
  record.control = "/c.sock";
  record.log_file = "/l.log";
  record.for_exec = true;
  const auto back = record_from_json(record_to_json(record));
  REQUIRE(back.ok());
  CHECK(back->sandbox == record.sandbox);
  CHECK(back->name == record.name);
  CHECK(back->tenant == record.tenant);
  CHECK(back->mount_point == record.mount_point);
  CHECK(back->control == record.control);
  CHECK(back->log_file == record.log_file);
  CHECK(back->pid == 7);
  CHECK(back->read_only);
  CHECK(back->for_exec);
  for (const char* bad : {"", "[]", "{}", "{\"sandbox\": 1}"}) CHECK(record_from_json(bad).code() == EINVAL);
}

TEST_CASE("mount record: it is alive while its process holds it, and gone with it") {
  const test::TempDir dir;
  const Home home{dir.path() + "/home"};
  REQUIRE(home.prepare().ok());
  {
    const auto own = OwnRecord::take(home, sample());
    REQUIRE(own.ok());
    const auto records = list_mount_records(home);
    REQUIRE(records.size() == 1);
    CHECK(records[0].alive);
    CHECK(records[0].pid == ::getpid());
    CHECK(find_mount_at(home, sample().mount_point).has_value());
  }
  CHECK(list_mount_records(home).empty());
}

TEST_CASE("mount record: a killed process leaves a dead record, which is cleared away and never taken for alive") {
  const test::TempDir dir;
  const Home home{dir.path() + "/home"};
  REQUIRE(home.prepare().ok());
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto own = OwnRecord::take(home, sample());
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(pid, nullptr, 0);
  const auto records = list_mount_records(home);
  REQUIRE(records.size() == 1);
  CHECK_FALSE(records[0].alive);
  CHECK_FALSE(find_mount_at(home, records[0].mount_point).has_value());
  CHECK(wait_for_end(records[0], 0));
  remove_dead_records(home);
  CHECK(list_mount_records(home).empty());
}
