// A large file made short is cut in steps that a commit can take.
#include <doctest/doctest.h>

#include "data_model.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr std::uint64_t kStep = 4 * kChunkSize;

VfsOptions small_steps() {
  VfsOptions options;
  options.cut_bytes = kStep;
  return options;
}

/// The largest number of chunks that one batch cut off a file of `chunks` chunks, and how many batches did.
std::pair<std::uint32_t, int> cuts(const FakeStore& store, std::uint32_t chunks) {
  std::uint32_t largest = 0;
  int number = 0;
  for (const Batch& batch : store.batches())
    for (const ChunkCut& cut : batch.cuts) {
      if (cut.from >= chunks) continue;  // nothing was there
      largest = std::max(largest, chunks - cut.from);
      chunks = cut.from;
      ++number;
    }
  return {largest, number};
}

Ino large_file(FakeSession& session, std::uint32_t chunks) {
  const Ino ino = session.write_file(kRootIno, "large", std::string(chunks * std::size_t{kChunkSize}, 'x'));
  session.sync();
  return ino;
}

}  // namespace

TEST_CASE("truncate: a large file is cut in steps, each committed by itself, and ends as one cut would end it") {
  FakeStore store;
  FakeSession session(store, small_steps());
  const Ino ino = large_file(session, 19);
  AttrChange change;
  change.size = 100;
  REQUIRE(session.vfs.setattr(session.root, ino, change, nullptr).ok());
  CHECK(session.read_file(ino).value() == std::string(100, 'x'));
  check_committed(session);
  const auto [largest, number] = cuts(store, 19);
  CHECK(largest <= 5);
  CHECK(number >= 4);
  CHECK(store.rows().inodes.at(ino).attr.blocks == 1);
}

TEST_CASE("open with O_TRUNC: the same") {
  FakeStore store;
  FakeSession session(store, small_steps());
  const Ino ino = large_file(session, 19);
  session.vfs.release(session.open(ino, O_WRONLY | O_TRUNC));
  CHECK(session.read_file(ino).value().empty());
  check_committed(session);
  const auto [largest, number] = cuts(store, 19);
  CHECK(largest <= 5);
  CHECK(number >= 4);
}

TEST_CASE("truncate: what is long but has few blocks is cut at once") {
  FakeStore store;
  FakeSession session(store, small_steps());
  const Ino ino = session.write_file(kRootIno, "sparse", "x");
  AttrChange change;
  change.size = 1000 * kStep;
  REQUIRE(session.vfs.setattr(session.root, ino, change, nullptr).ok());
  session.sync();
  const std::size_t before = store.batches().size();
  change.size = 0;
  REQUIRE(session.vfs.setattr(session.root, ino, change, nullptr).ok());
  check_committed(session);
  CHECK(store.batches().size() == before + 1);
}
