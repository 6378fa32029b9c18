#include "run.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

int open_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error(cat("open ", path, ": ", std::strerror(errno)));
  return fd;
}

void make_directory(const std::string& path) {
  const mode_t before = ::umask(0);
  const int made = ::mkdir(path.c_str(), 0777);
  ::umask(before);
  if (made != 0) throw std::runtime_error(cat("mkdir ", path, ": ", std::strerror(errno)));
}

std::string parent_of(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

Run::Run(const Places& places, const std::string& name) : places_(places), name_(name) {
  make_directory(cat(places.local, "/", name));
  make_directory(cat(places.mounted, "/", name));
  for (int number = 0; number < kWorkers; ++number) workers_.push_back(std::make_unique<Worker>(number));
  const int base = open_directory(places.local);
  rules_.fine_clock = has_fine_clock(base);
  ::close(base);
  open_roots();
}

Run::~Run() { close_roots(); }

void Run::open_roots() {
  const std::string local = cat(places_.local, "/", name_);
  const std::string mounted = cat(places_.mounted, "/", name_);
  local_ = open_directory(local);
  mounted_ = open_directory(mounted);
  for (const auto& worker : workers_) {
    Desk& desk = worker->desk();
    desk.order = Desk::Order::open_roots;
    std::snprintf(desk.local, sizeof desk.local, "%s", local.c_str());
    std::snprintf(desk.mounted, sizeof desk.mounted, "%s", mounted.c_str());
    worker->run();
  }
}

void Run::close_roots() {
  for (const auto& worker : workers_) {
    worker->desk().order = Desk::Order::close_all;
    worker->run();
  }
  for (int* root : {&local_, &mounted_}) {
    if (*root >= 0) ::close(*root);
    *root = -1;
  }
  // read_tree() goes where it reads.
  if (::chdir("/") != 0) throw std::runtime_error("chdir /");
}

Known Run::known() const { return known_of(local_); }

std::vector<Run::Watched> Run::watch(const Step& step) const {
  std::vector<Watched> all;
  if (step.padded) return all;
  const auto add = [&](const std::string& path) {
    if (path.empty()) return;
    // Following a link that is the object reads it.
    all.push_back({path, false, !step.follow, {}});
    all.push_back({path, true, step.follow, {}});
    all.push_back({parent_of(path), true, false, {}});
  };
  add(step.a);
  if (step.op == Op::link || step.op == Op::rename) add(step.b);
  for (Watched& one : all) one.before = look(one);
  return all;
}

Pair Run::look(const Watched& watched) const {
  return {see(local_, watched.path.c_str(), watched.follow), see(mounted_, watched.path.c_str(), watched.follow)};
}

Rules Run::rules_for(const Seen& mounted) const {
  Rules rules = rules_;
  rules.compare_blocks = vague_blocks_.count(mounted.ino) == 0;
  return rules;
}

/// Where the local file system may choose what it calls a hole, the answer only has to be possible; wrong_holes()
/// checks that it is true.
std::string Run::compare_outcome(const Desk& desk) const {
  const bool seeks = desk.step.op == Op::seek && (desk.step.flags == SEEK_DATA || desk.step.flags == SEEK_HOLE);
  if (seeks && desk.before.mounted.error == 0 && vague_holes_.count(desk.before.mounted.ino) != 0) {
    const bool possible = desk.found.result < 0
                              ? desk.found.error == ENXIO
                              : desk.found.result >= desk.step.offset &&
                                    static_cast<std::uint64_t>(desk.found.result) <= desk.before.mounted.size;
    return possible ? std::string() : cat("not possible: ", describe(desk.found));
  }
  if (desk.expected == desk.found) return {};
  return cat("expected ", describe(desk.expected), "\nfound    ", describe(desk.found));
}

void Run::remember(const Desk& desk) {
  const Step& step = desk.step;
  if (desk.found.result < 0) return;
  const std::uint64_t ino = desk.before.mounted.ino;
  if (step.op == Op::fallocate && (step.flags & FALLOC_FL_PUNCH_HOLE) == 0) vague_holes_[ino] = true;
  if (step.op == Op::copy_range) {
    vague_holes_[desk.other_before.mounted.ino] = true;
    vague_blocks_[desk.other_before.mounted.ino] = true;
  }
  const bool empty = desk.after.mounted.error == 0 && desk.after.mounted.size == 0 && desk.after.mounted.blocks == 0;
  if (step.slot != kNoSlot && empty && desk.after.local.blocks == 0) {
    vague_holes_.erase(desk.after.mounted.ino);
    vague_blocks_.erase(desk.after.mounted.ino);
  }
}

std::string Run::step(const Step& step) {
  Worker& worker = *workers_[static_cast<std::size_t>(step.worker)];
  Desk& desk = worker.desk();
  desk.order = Desk::Order::step;
  desk.step = step;
  const std::vector<Watched> watched = watch(step);
  worker.run();
  std::string words = compare_outcome(desk);
  remember(desk);
  const auto add = [&](const std::string& what, const Pair& before, const Pair& after, bool sets_atime) {
    const std::string text = differences(before, after, sets_atime, rules_for(after.mounted));
    if (!text.empty()) words += cat(words.empty() ? "" : "\n", what, ": ", text);
  };
  const bool sets_atime = step.op == Op::utimens && step.nanoseconds[0] != UTIME_OMIT && desk.expected.result == 0;
  for (const Watched& one : watched)
    add(cat(one.path, one.follow ? " (followed)" : ""), one.before, look(one), sets_atime && one.is_object);
  if (step.slot != kNoSlot && step.op != Op::open && step.op != Op::close)
    add("the open file", desk.before, desk.after, sets_atime);
  if (step.other_slot != kNoSlot) add("the other open file", desk.other_before, desk.other_after, false);
  return words;
}

std::string Run::compare_trees() {
  const Tree local = read_tree(local_);
  const Tree mounted = read_tree(mounted_);
  std::string words = differences(local, mounted, rules_, vague_blocks_);
  if (!words.empty()) return words;
  for (const auto& [path, entry] : local)
    if (S_ISREG(entry.seen.mode)) words += wrong_holes(local_, mounted_, path);
  return words;
}

std::string Run::move(const std::function<std::string()>& elsewhere) {
  if (const std::string words = compare_trees(); !words.empty()) return words;
  const Tree before = read_tree(mounted_);
  close_roots();
  places_.mounted = elsewhere();
  open_roots();
  const Tree after = read_tree(mounted_);
  return changes(before, after);
}

}  // namespace sboxfs::differential
