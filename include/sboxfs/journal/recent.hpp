// The last change rows this session knows, for the load rule: may rows read at version L be installed at `seen` > L?
// Thread rules: guarded by State::mu.
#pragma once

#include <cstddef>
#include <deque>

#include "sboxfs/model/delta.hpp"

namespace sboxfs {

class Recent {
 public:
  void add(Version version, const Delta& delta);
  void clear();
  /// Whether all of (after, upto] is known here.
  bool knows(Version after, Version upto) const;
  /// The deltas of versions > after, oldest first.
  template <class Visit>
  void each_after(Version after, Visit visit) const {
    for (const Item& item : changes_)
      if (item.version > after) visit(item.delta);
  }
  /// Whether a version > after changed the inode in any way.
  bool changed_inode(Version after, Ino ino) const;

 private:
  struct Item {
    Version version = 0;
    Delta delta;
  };
  std::deque<Item> changes_;
  std::size_t weight_ = 0;
};

}  // namespace sboxfs
