// Random reads and writes of one file, by every way there is, against a copy in memory.
//   data --file PATH --seed N --steps N [--most BYTES] [--remount-every N]
// "remount" on standard output asks for the mount to be made anew; the answer on standard input is the file's path.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "sboxfs/base/text.hpp"
#include "step.hpp"

namespace {

using sboxfs::cat;
using sboxfs::differential::fill;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kShown = 30;

class Different : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Exerciser {
 public:
  Exerciser(std::string path, std::uint64_t seed, std::size_t most)
      : path_(std::move(path)), most_(most), random_(seed) {
    buffer_.reset(static_cast<char*>(std::aligned_alloc(kPage, most_ + 2 * kPage)));
    open(O_CREAT | O_TRUNC);
  }
  ~Exerciser() { close(); }
  Exerciser(const Exerciser&) = delete;
  Exerciser& operator=(const Exerciser&) = delete;

  void step();
  void check_all();
  /// Closes, calls for another mount, opens there.
  template <class Elsewhere>
  void move(Elsewhere elsewhere) {
    close();
    path_ = elsewhere();
    open(0);
    check_all();
  }
  std::string last_steps() const {
    std::string out;
    for (const std::string& line : last_) out += "  " + line + "\n";
    return out;
  }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  struct Part {
    std::size_t at, size;
  };

  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }
  void note(const std::string& line) {
    last_.push_back(line);
    if (last_.size() > kShown) last_.pop_front();
  }
  [[noreturn]] static void failed(const char* what) { throw Different(cat(what, ": ", std::strerror(errno))); }
  void open(int flags);
  void close();
  /// A part of the file, or (`beyond`) one that may make it longer; often at the edges of blocks and chunks.
  Part part(bool beyond);
  void compare(const char* what, std::size_t at, const char* got, std::size_t size) const;
  void write(int fd, Part where, const char* what);
  void read(int fd, Part where, const char* what);
  void map(bool writes);
  void truncate();
  void fallocate();
  void copy();
  void direct();
  void set(std::size_t at, const char* data, std::size_t size) {
    if (model_.size() < at + size) model_.resize(at + size);
    std::copy(data, data + size, model_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  std::string path_;
  const std::size_t most_;  ///< of the file
  std::mt19937_64 random_;
  std::vector<char> model_;
  std::unique_ptr<char, Free> buffer_;
  std::deque<std::string> last_;
  int file_ = -1, appending_ = -1, direct_ = -1;
};

void Exerciser::open(int flags) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | flags, 0644);
  appending_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  direct_ = ::open(path_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
  if (file_ < 0 || appending_ < 0 || direct_ < 0) failed("open");
}

void Exerciser::close() {
  for (const int fd : {file_, appending_, direct_})
    if (::close(fd) != 0) failed("close");
}

Exerciser::Part Exerciser::part(bool beyond) {
  const std::size_t end = beyond ? std::min(most_, model_.size() + most_ / 4) : model_.size();
  if (end == 0) return {0, 0};
  std::size_t at = below(end);
  if (below(3) == 0) at = at / kPage * kPage;
  if (below(6) == 0) at = at / (32 * kPage) * (32 * kPage);
  std::size_t size = below(5) == 0 ? below(most_ / 3) : below(20'000);
  if (below(4) == 0) size = (size / kPage + 1) * kPage;
  return {at, std::min(size, end - at)};
}

void Exerciser::compare(const char* what, std::size_t at, const char* got, std::size_t size) const {
  for (std::size_t i = 0; i < size; ++i)
    if (got[i] != model_[at + i])
      throw Different(cat(what, " ", at, "+", size, ": byte ", at + i, " expected ",
                          static_cast<int>(static_cast<unsigned char>(model_[at + i])), ", found ",
                          static_cast<int>(static_cast<unsigned char>(got[i]))));
}

void Exerciser::write(int fd, Part where, const char* what) {
  note(cat(what, " ", where.at, "+", where.size));
  fill(buffer_.get(), where.size, random_());
  const ssize_t got = ::pwrite(fd, buffer_.get(), where.size, static_cast<off_t>(where.at));
  if (got != static_cast<ssize_t>(where.size)) failed(what);
  if (where.size > 0) set(where.at, buffer_.get(), where.size);
}

void Exerciser::read(int fd, Part where, const char* what) {
  note(cat(what, " ", where.at, "+", where.size));
  const ssize_t got = ::pread(fd, buffer_.get(), where.size, static_cast<off_t>(where.at));
  const std::size_t expected = std::min(where.size, model_.size() - std::min(where.at, model_.size()));
  if (got < 0) failed(what);
  if (static_cast<std::size_t>(got) != expected) throw Different(cat(what, ": ", got, " bytes, expected ", expected));
  compare(what, where.at, buffer_.get(), expected);
}

void Exerciser::map(bool writes) {
  const Part where = part(false);
  if (where.size == 0) return;
  const std::size_t start = where.at / kPage * kPage;
  const std::size_t length = where.at + where.size - start;
  const char* what = writes ? "mapwrite" : "mapread";
  const bool synced = writes && below(3) == 0;
  note(cat(what, " ", where.at, "+", where.size, synced ? " msync" : ""));
  void* memory =
      ::mmap(nullptr, length, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, file_, static_cast<off_t>(start));
  if (memory == MAP_FAILED) failed(what);
  char* view = static_cast<char*>(memory) + (where.at - start);
  if (writes) {
    fill(view, where.size, random_());
    set(where.at, view, where.size);
  } else {
    compare(what, where.at, view, where.size);
    // What the last page has behind the end of the file reads as zeros.
    const std::size_t end = where.at + where.size;
    if (end == model_.size())
      for (std::size_t i = end; i % kPage != 0; ++i)
        if (view[i - where.at] != 0) throw Different(cat("mapread: not zero at ", i, ", behind the end"));
  }
  if (synced && ::msync(memory, length, MS_SYNC) != 0) failed("msync");
  if (::munmap(memory, length) != 0) failed("munmap");
}

void Exerciser::truncate() {
  const std::size_t size = below(8) == 0 ? 0 : below(std::min(most_, model_.size() + most_ / 4));
  note(cat("truncate ", size));
  if (::ftruncate(file_, static_cast<off_t>(size)) != 0) failed("truncate");
  model_.resize(size);
}

void Exerciser::fallocate() {
  static constexpr int kModes[] = {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                   FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0};
  const int mode = kModes[below(std::size(kModes))];
  const Part where = part(true);
  if (where.size == 0) return;
  note(cat("fallocate mode ", mode, " ", where.at, "+", where.size));
  if (::fallocate(file_, mode, static_cast<off_t>(where.at), static_cast<off_t>(where.size)) != 0) failed("fallocate");
  const std::size_t end = where.at + where.size;
  if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && model_.size() < end) model_.resize(end);
  if (mode == 0) return;
  const auto from = model_.begin() + static_cast<std::ptrdiff_t>(std::min(where.at, model_.size()));
  std::fill(from, model_.begin() + static_cast<std::ptrdiff_t>(std::min(end, model_.size())), '\0');
}

void Exerciser::copy() {
  const Part from = part(false);
  const Part to = part(true);
  const std::size_t size = std::min({from.size, most_ - to.at});
  if (size == 0 || (from.at < to.at + size && to.at < from.at + size)) return;
  note(cat("copy ", from.at, "+", size, " to ", to.at));
  for (std::size_t done = 0; done < size;) {
    auto in = static_cast<off64_t>(from.at + done);
    auto out = static_cast<off64_t>(to.at + done);
    const ssize_t got = ::copy_file_range(file_, &in, file_, &out, size - done, 0);
    if (got <= 0) failed("copy");
    done += static_cast<std::size_t>(got);
  }
  const std::vector<char> data(model_.begin() + static_cast<std::ptrdiff_t>(from.at),
                               model_.begin() + static_cast<std::ptrdiff_t>(from.at + size));
  set(to.at, data.data(), size);
}

void Exerciser::direct() {
  const bool writes = below(2) == 0;
  Part where = part(writes);
  where.at = where.at / kPage * kPage;
  where.size = (where.size / kPage + 1) * kPage;
  if (writes) return write(direct_, where, "direct write");
  read(direct_, where, "direct read");
}

void Exerciser::step() {
  switch (below(16)) {
    case 0:
    case 1: return read(file_, part(true), "read");
    case 2:
    case 3:
    case 4: return write(file_, part(true), "write");
    case 5: {
      const std::size_t size = model_.size() > most_ - 30'000 ? 0 : below(30'000);
      return write(appending_, {model_.size(), size}, "append");
    }
    case 6: return map(false);
    case 7:
    case 8: return map(true);
    case 9: return truncate();
    case 10:
    case 11: return fallocate();
    case 12: return copy();
    case 13: return direct();
    case 14:
      note("fsync, drop pages");
      if (::fsync(file_) != 0) failed("fsync");
      if (::posix_fadvise(file_, 0, 0, POSIX_FADV_DONTNEED) != 0) failed("fadvise");
      return;
    default:
      if (below(4) != 0) return read(file_, part(false), "read");
      note("re-open");
      close();
      return open(0);
  }
}

void Exerciser::check_all() {
  struct stat status {};
  if (::fstat(file_, &status) != 0) failed("stat");
  if (static_cast<std::size_t>(status.st_size) != model_.size())
    throw Different(cat("size: expected ", model_.size(), ", found ", status.st_size));
  read(file_, {0, most_ + kPage}, "read all");
}

int work(std::map<std::string, std::string>& given) {
  const auto number = [&](const char* name) { return given.count(name) == 0 ? 0 : std::atol(given[name].c_str()); };
  const long steps = number("--steps");
  const long every = number("--remount-every");
  const auto start = std::chrono::steady_clock::now();
  Exerciser exerciser(given["--file"], static_cast<std::uint64_t>(number("--seed")),
                      given.count("--most") == 0 ? 900'000 : static_cast<std::size_t>(number("--most")));
  for (long i = 1; i <= steps; ++i) {
    try {
      exerciser.step();
      if (i % 100 == 0 || i == steps) exerciser.check_all();
      if (every > 0 && i % every == 0)
        exerciser.move([] {
          std::cout << "remount" << std::endl;
          std::string path;
          if (!std::getline(std::cin, path)) throw std::runtime_error("nobody answers");
          return path;
        });
    } catch (const Different& different) {
      std::cout << "DIFFERENCE: seed " << number("--seed") << ", step " << i << "\n"
                << exerciser.last_steps() << different.what() << std::endl;
      return 1;
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << "ok: " << steps << " steps, " << seconds.count() << " s" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < argc; i += 2) given[argv[i]] = argv[i + 1];
  try {
    return work(given);
  } catch (const std::exception& error) {
    std::cout << "error: " << error.what() << std::endl;
    return 2;
  }
}
