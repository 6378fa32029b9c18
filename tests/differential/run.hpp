// One run of a sequence: workers, both sides, the comparison after every step and of the whole tree.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tree.hpp"
#include "worker.hpp"

namespace sboxfs::differential {

struct Places {
  std::string local, mounted;  ///< directories that exist on both sides
};

class Run {
 public:
  /// Works in a directory `name`, which it makes on both sides.
  Run(const Places& places, const std::string& name);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Does the step; what differs, or nothing.
  std::string step(const Step& step);
  /// Compares the whole trees.
  std::string compare_trees();
  /// Lets go of both sides, calls `elsewhere` (which may mount again and says where the mount is), and goes on there.
  /// What has changed by that, or nothing.
  std::string move(const std::function<std::string()>& elsewhere);
  Known known() const;
  bool fine_clock() const { return rules_.fine_clock; }

 private:
  struct Watched {
    std::string path;
    bool follow;
    bool is_object;  ///< and not its directory
    Pair before;
  };
  void open_roots();
  void close_roots();
  std::vector<Watched> watch(const Step& step) const;
  Pair look(const Watched& watched) const;
  Rules rules_for(const Seen& mounted) const;
  std::string compare_outcome(const Desk& desk) const;
  void remember(const Desk& desk);

  Places places_;
  std::string name_;
  int local_ = -1, mounted_ = -1;
  Rules rules_;
  std::vector<std::unique_ptr<Worker>> workers_;
  /// By mounted inode number (never used twice): where disk file systems may choose what is a hole, or allocated.
  std::map<std::uint64_t, bool> vague_holes_, vague_blocks_;
};

}  // namespace sboxfs::differential
