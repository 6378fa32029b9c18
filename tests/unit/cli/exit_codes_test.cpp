#include "sboxfs/cli/exit_codes.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace sboxfs;
using namespace sboxfs::cli;

TEST_CASE("exit codes: each failure a user can tell apart has a status of its own") {
  const std::set<Exit> statuses{
      exit_for_store(fail(EIO)),    exit_for_store(fail(EACCES)), exit_for_store(fail(EPROTO)),
      exit_for_store(fail(ENOENT)), exit_for_store(fail(EEXIST)), exit_for_store(fail(EINVAL)),
      exit_for_mount(fail(EBUSY)),  exit_for_mount(fail(EPERM)),
  };
  CHECK(statuses.size() == 8);
  CHECK(statuses.count(Exit::ok) == 0);
  CHECK(exit_for_mount(fail(ECONNREFUSED)) == exit_for_store(fail(EIO)));
  CHECK(exit_for_mount(fail(ENOTEMPTY)) == Exit::mount_point);
  CHECK(exit_for_mount(fail(ENOENT)) == Exit::not_found);
}

TEST_CASE("exit codes: every status has its own meaning") {
  std::set<std::string_view> meanings;
  int count = 0;
  for (int number = 0; number < 256; ++number) {
    const std::string_view meaning = exit_meaning(static_cast<Exit>(number));
    if (meaning == "unknown") continue;
    meanings.insert(meaning);
    ++count;
  }
  CHECK(count == 19);
  CHECK(meanings.size() == 19);
}
