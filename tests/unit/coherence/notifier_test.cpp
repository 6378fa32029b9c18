#include "sboxfs/coherence/notifier.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "eventually.hpp"
#include "fake_kernel.hpp"
#include "sboxfs/base/clock.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

struct Fixture {
  ReadGate replies;
  FakeKernel kernel;
  Notifier notifier{replies, kernel};
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
