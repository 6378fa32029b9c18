#include "worker.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <new>
#include <stdexcept>
#include <vector>

namespace sboxfs::differential {
namespace {

struct User {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

const User& user_of(int number) {
  static const User users[kWorkers] = {{0, 0, {}}, {1001, 1001, {2000}}, {1002, 1001, {}}, {1003, 2000, {1001, 3000}}};
  return users[number];
}

void become(const User& user) {
  if (::setgroups(user.groups.size(), user.groups.data()) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0)
    ::_exit(70);
}

Seen see_slot(const Side& side, int slot) {
  const int fd = slot == kNoSlot ? -1 : side.files[static_cast<std::size_t>(slot)];
  return see(fd);
}

void step_on_both(Desk& desk, Side& local, Side& mounted) {
  const Step& step = desk.step;
  desk.before = {see_slot(local, step.slot), see_slot(mounted, step.slot)};
  desk.other_before = {see_slot(local, step.other_slot), see_slot(mounted, step.other_slot)};
  desk.expected = perform(local, step);
  desk.found = step.op == Op::umask ? desk.expected : perform(mounted, step);
  desk.after = {see_slot(local, step.slot), see_slot(mounted, step.slot)};
  desk.other_after = {see_slot(local, step.other_slot), see_slot(mounted, step.other_slot)};
}

void open_root(Side& side, const char* path) {
  side.root = ::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (side.root < 0) ::_exit(71);
}

[[noreturn]] void work(Desk& desk, int in, int out, int number) {
  ::umask(022);
  become(user_of(number));
  // Ends with its parent, whatever happens to that (a change of user takes this back).
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Side local;
  Side mounted;
  char byte = 0;
  while (::read(in, &byte, 1) == 1) {
    switch (desk.order) {
      case Desk::Order::step: step_on_both(desk, local, mounted); break;
      case Desk::Order::open_roots:
        open_root(local, desk.local);
        open_root(mounted, desk.mounted);
        break;
      case Desk::Order::close_all:
        for (Side* side : {&local, &mounted}) {
          close_files(*side);
          if (side->root >= 0) ::close(side->root);
          side->root = -1;
        }
        if (::chdir("/") != 0) ::_exit(72);
        break;
      case Desk::Order::end: ::_exit(0);
    }
    if (::write(out, &byte, 1) != 1) break;
  }
  ::_exit(0);
}

}  // namespace

Worker::Worker(int number) {
  void* page = ::mmap(nullptr, sizeof(Desk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int orders[2];
  int answers[2];
  if (page == MAP_FAILED || ::pipe2(orders, O_CLOEXEC) != 0 || ::pipe2(answers, O_CLOEXEC) != 0)
    throw std::runtime_error("no memory or pipe for a worker");
  desk_ = new (page) Desk;
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("no process for a worker");
  if (pid_ == 0) {
    ::close(orders[1]);
    ::close(answers[0]);
    work(*desk_, orders[0], answers[1], number);
  }
  ::close(orders[0]);
  ::close(answers[1]);
  to_ = orders[1];
  from_ = answers[0];
}

Worker::~Worker() {
  // The workers inherit each other's pipes: closing one ends nobody.
  desk_->order = Desk::Order::end;
  const char byte = 0;
  if (::write(to_, &byte, 1) != 1) ::kill(pid_, SIGKILL);
  ::close(to_);
  ::waitpid(pid_, nullptr, 0);
  ::close(from_);
  ::munmap(desk_, sizeof(Desk));
}

void Worker::run() {
  char byte = 0;
  if (::write(to_, &byte, 1) != 1 || ::read(from_, &byte, 1) != 1) throw std::runtime_error("a worker has died");
}

}  // namespace sboxfs::differential
