// Random operations on two files, after the idea of fsx (Apple, 1991): the file system against a plain string, with
// commits, commits held in flight, dropped caches, closed files and changes of the writing session in between.
#include <doctest/doctest.h>
#include <linux/falloc.h>

#include <array>
#include <random>

#include "data_model.hpp"
#include "sboxfs/base/text.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr std::uint64_t kLargest = 5 * kChunkSize + 3000;

class Driver {
 public:
  Driver(FakeStore& store, unsigned seed)
      : store_(store), random_(seed), sessions_{FakeSession(store), FakeSession(store)} {
    for (std::size_t i = 0; i < 2; ++i) inos_[i] = session().write_file(kRootIno, i == 0 ? "a" : "b", "");
    reopen();
  }

  void step() {
    const std::size_t which = pick(2);
    FileModel& model = models_[which];
    switch (pick(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: return write(which, offset(), length());
      case 5:
      case 6: return write(which, model.size(), 1 + pick(5000));
      case 7: return append(which);
      case 8: return truncate(which);
      case 9: return allocate(which);
      case 10: return punch(which, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
      case 11: return punch(which, FALLOC_FL_ZERO_RANGE | (pick(2) == 0 ? FALLOC_FL_KEEP_SIZE : 0));
      case 12:
      case 13: return copy(which, 1 - which);
      case 14: return copy(which, pick(2));
      case 15:
      case 16:
      case 17: return read(which);
      case 18: return sync();
      case 19: return hold();
      case 20: return session().cache.clear();
      case 21: return reopen();
      case 22: return pick(3) == 0 ? change_session() : hold();
      default: return check_same(session(), *handles_[which], model);
    }
  }

  void finish() {
    let_go();
    for (std::size_t i = 0; i < 2; ++i) check_same(session(), *handles_[i], models_[i]);
    check_committed(session());
    close();
  }

 private:
  FakeSession& session() { return sessions_[active_]; }
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  std::uint64_t offset() {
    const std::uint64_t at = pick(kLargest - 1);
    switch (pick(4)) {
      case 0: return at / kBlockSize * kBlockSize;
      case 1: return at / kChunkSize * kChunkSize;
      case 2: return std::min<std::uint64_t>(at / kChunkSize * kChunkSize + pick(100), kLargest - 1);
      default: return at;
    }
  }
  std::uint64_t length() {
    switch (pick(5)) {
      case 0: return kBlockSize;
      case 1: return kChunkSize;
      case 2: return 1 + pick(3 * kChunkSize);
      default: return 1 + pick(9000);
    }
  }
  static std::uint64_t bounded(std::uint64_t at, std::uint64_t length) { return std::min(length, kLargest - at); }

  void write(std::size_t which, std::uint64_t at, std::uint64_t length) {
    if (at >= kLargest) return;
    const std::string data = pattern(bounded(at, length), ++salt_);
    INFO("write ", which, " ", at, " ", data.size());
    write_at(session(), *handles_[which], at, data);
    models_[which].write(at, data);
  }

  void append(std::size_t which) {
    if (models_[which].size() >= kLargest - 5000) return;
    const std::string data = pattern(1 + pick(5000), ++salt_);
    auto handle = session().open(inos_[which], O_WRONLY | O_APPEND);
    bool differs = false;
    REQUIRE(session().vfs.write(*handle, 0, data, {}, differs, Vfs::WriteAs::append).ok());
    models_[which].write(models_[which].size(), data);
    session().vfs.release(std::move(handle));
  }

  void truncate(std::size_t which) {
    const std::uint64_t size = pick(8) == 0 ? 0 : pick(3) == 0 ? models_[which].size() : offset();
    INFO("truncate ", which, " ", size);
    REQUIRE(resize(session(), inos_[which], size).ok());
    models_[which].truncate(size);
  }

  void allocate(std::size_t which) {
    const std::uint64_t at = offset();
    const std::uint64_t end = at + bounded(at, length());
    const bool keep = pick(2) == 0;
    INFO("allocate ", which, " ", at, " ", end);
    REQUIRE(session().vfs.fallocate(*handles_[which], keep ? FALLOC_FL_KEEP_SIZE : 0, at, end - at).ok());
    models_[which].allocate(at, end, keep);
  }

  void punch(std::size_t which, int mode) {
    const std::uint64_t at = offset();
    const std::uint64_t end = at + bounded(at, length());
    INFO("punch ", which, " ", at, " ", end, " ", mode);
    REQUIRE(session().vfs.fallocate(*handles_[which], mode, at, end - at).ok());
    if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
      models_[which].punch(at, end);
    } else {
      models_[which].zero(at, end, (mode & FALLOC_FL_KEEP_SIZE) != 0);
    }
  }

  void copy(std::size_t from, std::size_t to) {
    const bool aligned = pick(2) == 0;
    const std::uint64_t source = aligned ? offset() / kChunkSize * kChunkSize : offset();
    const std::uint64_t target = aligned ? offset() / kChunkSize * kChunkSize : offset();
    const std::uint64_t wanted = aligned && pick(2) == 0 ? kChunkSize : this->length();
    const std::uint64_t length = std::min(bounded(source, wanted), bounded(target, wanted));
    const std::string data = models_[from].read(source, length);
    INFO("copy ", from, " ", source, " ", to, " ", target, " ", length);
    const Result<std::uint64_t> copied =
        session().vfs.copy_range(*handles_[from], source, *handles_[to], target, length);
    const bool overlaps = from == to && source < target + data.size() && target < source + data.size();
    REQUIRE(copied.code() == (overlaps && !data.empty() ? EINVAL : 0));
    if (!copied.ok()) return;
    REQUIRE(*copied == data.size());
    models_[to].copied(target, data, session(), inos_[to]);
  }

  void read(std::size_t which) {
    const std::uint64_t at = offset();
    const std::uint64_t length = this->length();
    INFO("read ", which, " ", at, " ", length);
    REQUIRE(read_at(session(), *handles_[which], at, static_cast<std::uint32_t>(length)) ==
            models_[which].read(at, length));
  }

  void sync() {
    let_go();
    session().sync();
    for (const std::string& problem : store_.problems()) FAIL(problem);
  }
  /// From now on the next batch stays in flight, and the operations that follow gather behind it.
  void hold() {
    let_go();
    store_.hold_commits();
    held_ = true;
  }
  void let_go() {
    if (held_) store_.let_commits_go();
    held_ = false;
  }

  void close() {
    for (auto& handle : handles_)
      if (handle) session().vfs.release(std::move(handle));
  }
  void reopen() {
    close();
    if (pick(2) == 0) sync();
    if (!held_) session().evict();
    for (std::size_t i = 0; i < 2; ++i) handles_[i] = session().open(inos_[i], O_RDWR);
  }
  void change_session() {
    close();
    sync();
    active_ = 1 - active_;
    session().adopt();
    for (std::size_t i = 0; i < 2; ++i) {
      handles_[i] = session().open(inos_[i], O_RDWR);
      check_same(session(), *handles_[i], models_[i]);
    }
  }

  FakeStore& store_;
  std::mt19937 random_;
  std::array<FakeSession, 2> sessions_;
  std::size_t active_ = 0;
  std::array<Ino, 2> inos_{};
  std::array<std::unique_ptr<Handle>, 2> handles_;
  std::array<FileModel, 2> models_;
  unsigned salt_ = 0;
  bool held_ = false;
};

}  // namespace

TEST_CASE("data: random operations on files agree with a plain string") {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    FakeStore store;
    Driver driver(store, seed);
    for (int step = 0; step < 1000; ++step) {
      CAPTURE(step);
      driver.step();
    }
    driver.finish();
  }
}
