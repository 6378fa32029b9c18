// A process with a user of its own that does steps on both sides.
#pragma once

#include <sys/types.h>

#include <string>

#include "perform.hpp"
#include "seen.hpp"

namespace sboxfs::differential {

/// What main and worker share: one page or two, written by the one whose turn it is.
struct Desk {
  enum class Order : std::uint8_t { step, open_roots, close_all, end };
  Order order = Order::step;
  char local[300] = "", mounted[300] = "";  ///< of open_roots
  Step step;
  Outcome expected, found;
  /// The open file of the step (and the other one of copy_file_range) before and after; error EBADF: none.
  Pair before, after, other_before, other_after;
};

class Worker {
 public:
  /// Starts the process of worker `number` (0 is root, the others are not).
  explicit Worker(int number);
  /// Ends it.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Does what the desk says; throws when the process has died.
  void run();
  Desk& desk() { return *desk_; }

 private:
  Desk* desk_ = nullptr;
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
};

}  // namespace sboxfs::differential
