#include "sboxfs/coherence/notifier.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "eventually.hpp"
#include "fake_kernel.hpp"
#include "sboxfs/base/clock.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  ReadGate replies;
  FakeKernel kernel;
  std::map<Ino, Ino> told;  // what the kernel was told of, and under which directory
  Notifier notifier{replies, kernel, [this](Ino ino) -> std::optional<Ino> {
                      const auto at = told.find(ino);
                      return at == told.end() ? std::nullopt : std::optional<Ino>(at->second);
                    }};
  Fixture() { notifier.start(); }
  ~Fixture() { notifier.stop(); }

  bool delivered(std::uint64_t ticket) { return notifier.wait(ticket, 10 * kSecondNs); }
};

/// Sorted, each once: what is told again a little later does not count.
std::vector<std::string> distinct(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("notifier: a delta's names, listings, attributes and ranges are taken back, and nothing else") {
  Fixture f;
  Delta delta;
  delta.names = {{7, "a"}, {7, "b"}, {9, "a"}};
  delta.inodes = {{20, kChangedAttr, {}}, {21, kChangedAttr | kChangedData, {{4096, 8192}, {100000, 100001}}}};
  REQUIRE(f.delivered(f.notifier.submit(delta)));
  CHECK(distinct(f.kernel.take()) == distinct(Lines{"name 7 a", "name 7 b", "data 7 0+0", "name 9 a", "data 9 0+0",
                                                    "attr 20", "attr 21", "data 21 4096+4096", "data 21 100000+1"}));
}

TEST_CASE("notifier: a range to the end of any file is the kernel's 'to the end'") {
  Fixture f;
  Delta delta;
  delta.inodes = {{20, kChangedData, {{0, kMaxFileSize}}}};
  REQUIRE(f.delivered(f.notifier.submit(delta)));
  CHECK(f.kernel.heard("data 20 0+0"));
}

TEST_CASE("notifier: everything is also what nobody here remembers") {
  Fixture f;
  Delta everything;
  everything.inodes = {{kRootIno, kChangedAttr, {}}};
  REQUIRE(f.delivered(f.notifier.submit_all(everything)));
  CHECK(distinct(f.kernel.take()) == Lines{"all", "attr 1"});
}

TEST_CASE("notifier: the kernel hears nothing while a reply of the old state may be on its way") {
  Fixture f;
  const unsigned section = f.replies.enter();
  Delta delta;
  delta.inodes = {{20, kChangedAttr, {}}};
  const std::uint64_t ticket = f.notifier.submit(delta);
  CHECK_FALSE(f.notifier.wait(ticket, 20 * kMillisecondNs));
  CHECK(f.kernel.take().empty());
  f.replies.leave(section);
  CHECK(f.delivered(ticket));
  CHECK(distinct(f.kernel.take()) == Lines{"attr 20"});
}

TEST_CASE("notifier: a later delta of an inode reaches the kernel after an earlier one") {
  Fixture f;
  f.kernel.hold();
  std::uint64_t ticket = 0;
  for (std::uint64_t i = 0; i < 20; ++i) {
    Delta delta;
    delta.inodes = {{20, kChangedData, {{i * 10, i * 10 + 1}}}};
    ticket = f.notifier.submit(delta);
  }
  f.kernel.let_go();
  REQUIRE(f.delivered(ticket));
  Lines ranges;
  for (const std::string& line : f.kernel.take())
    if (line != "attr 20") ranges.push_back(line);
  Lines expected;
  for (int i = 0; i < 20; ++i) expected.push_back(cat("data 20 ", i * 10, "+1"));
  CHECK(ranges == expected);
}

TEST_CASE("notifier: submitting never waits for a kernel that is busy") {
  Fixture f;
  f.kernel.hold();
  Delta delta;
  delta.names = {{7, "a"}};
  const std::uint64_t first = f.notifier.submit(delta);
  const std::uint64_t second = f.notifier.submit(delta);
  CHECK_FALSE(f.notifier.wait(second, 20 * kMillisecondNs));
  f.kernel.let_go();
  CHECK(f.delivered(second));
  CHECK(first + 1 == second);
  CHECK(f.notifier.newest() == second);
}

TEST_CASE("notifier: who waits is let go when the mount is gone") {
  Fixture f;
  f.kernel.hold();
  Delta delta;
  delta.inodes = {{20, kChangedAttr, {}}};
  const std::uint64_t ticket = f.notifier.submit(delta);
  std::jthread stopper([&] { f.notifier.stop(); });
  CHECK(f.delivered(ticket));
  f.kernel.let_go();
}

TEST_CASE("notifier: what hangs behind a request delays nothing but its own inode") {
  Fixture f;
  f.kernel.hold("data 20 ");
  Delta delta;
  delta.inodes = {{20, kChangedAttr | kChangedData, {{0, 4096}}}};
  const std::uint64_t hanging = f.notifier.submit(delta);
  std::uint64_t other = 0;
  for (Ino ino = 21; ino < 60; ++ino) {
    delta.inodes = {{ino, kChangedAttr | kChangedData, {{0, 4096}}}};
    delta.names = {{7, cat("name", ino)}};
    other = f.notifier.submit(delta);
  }
  CHECK(eventually([&] { return f.kernel.heard("data 59 0+4096") && f.kernel.heard("name 7 name59"); }));
  // Who waits for all of it waits for that one too.
  CHECK_FALSE(f.notifier.wait(other, 20 * kMillisecondNs));
  CHECK_FALSE(f.notifier.wait(hanging, 0));
  f.kernel.let_go();
  CHECK(f.delivered(other));
}

TEST_CASE("notifier: a file's name is dropped, once; a name nobody knew is expired, once; a directory's again") {
  Fixture f;
  Dropped dropped;
  dropped.delta.names = {{7, "file"}, {7, "none"}, {7, "dir"}, {7, "what"}};
  dropped.names = {NameWas::file, NameWas::absent, NameWas::directory};
  REQUIRE(f.delivered(f.notifier.submit(dropped)));
  Lines lines = f.kernel.take();
  CHECK(lines == Lines{"drop 7 file", "name 7 none", "name 7 dir", "name 7 what", "data 7 0+0"});
  lines.clear();
  CHECK(eventually([&] {
    for (std::string& line : f.kernel.take()) lines.push_back(std::move(line));
    return lines.size() >= 4;
  }));
  CHECK(distinct(lines) == Lines{"name 7 dir", "name 7 what"});
  CHECK(lines.size() == 4);
}

TEST_CASE("notifier: a name that the kernel does not have is not told again") {
  Fixture f;
  f.kernel.knows(false);
  Delta delta;
  delta.names = {{7, "a"}};
  REQUIRE(f.delivered(f.notifier.submit(delta)));
  // Another one that is told again: the first one's turn would have come before.
  f.kernel.knows(true);
  delta.names = {{8, "b"}};
  REQUIRE(f.delivered(f.notifier.submit(delta)));
  Lines lines;
  CHECK(eventually([&] {
    for (std::string& line : f.kernel.take()) lines.push_back(std::move(line));
    return std::count(lines.begin(), lines.end(), "name 8 b") == 3;
  }));
  CHECK(std::count(lines.begin(), lines.end(), "name 7 a") == 1);
}

TEST_CASE("notifier: an inode that may be on its way into the kernel is told again behind its directory's lock") {
  Fixture f;
  f.told = {{20, 7}};
  f.kernel.knows(false);
  Delta delta;
  delta.inodes = {{20, kChangedAttr, {}}, {21, kChangedAttr, {}}};
  REQUIRE(f.delivered(f.notifier.submit(delta)));
  Lines of_20;
  for (const std::string& line : f.kernel.take())
    if (line != "attr 21") of_20.push_back(line);
  // The kernel was never told of 21: it has nothing to forget.
  CHECK(of_20 == Lines{"attr 20", "name 7 /", "attr 20"});
}
