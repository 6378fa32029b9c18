// Makes the random steps. The same seed makes the same sequence, as long as the local side answers the same.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "step.hpp"

namespace sboxfs::differential {

/// What there is now on the local side, so that most steps hit something.
struct Known {
  std::vector<std::string> directories, files, others;  ///< paths from the root; `others`: links and devices
  std::size_t size() const { return directories.size() + files.size() + others.size(); }
};

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}
  Step next(const Known& known);

 private:
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class Container>
  const auto& one_of(const Container& container) {
    return container[below(std::size(container))];
  }

  std::string name();
  std::string existing(const Known& known);
  /// A name in a directory there is; mostly one that does not exist.
  std::string fresh(const Known& known);
  std::string any_path(const Known& known);
  std::int64_t position();
  std::int64_t amount();
  mode_t mode();
  std::int8_t slot() { return static_cast<std::int8_t>(below(kSlots)); }

  void names(Step& step, const Known& known);
  void attributes(Step& step, const Known& known);
  void xattrs(Step& step, const Known& known);
  void data(Step& step, const Known& known);
  void open(Step& step, const Known& known);
  void acl(Step& step);
  void times(Step& step);

  std::mt19937_64 random_;
};

}  // namespace sboxfs::differential
