// Loads, by the load rule (design, invariant 6): what is missing in memory is read, and installed only if it can not
// bring an older state back.
#pragma once

#include <cstdint>
#include <vector>

#include "sboxfs/content/cache.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/loader.hpp"

namespace sboxfs {

/// What an operation found missing under State::mu. One at a time: the operation is tried again after the load.
struct Need {
  enum class Kind { nothing, inode, name, listing, chunks, contents, xattrs };
  Kind kind = Kind::nothing;
  Ino ino = 0;                ///< the inode; of name and listing the directory
  std::uint64_t cookie = 0;   ///< name: its cookie; listing: where the missing part starts
  std::uint32_t first = 0;    ///< chunks
  std::uint32_t count = 0;
  /// contents: the chunks whose bytes are missing in the content cache, as the tree has them.
  struct Content {
    std::uint32_t idx = 0;
    Hash blob;
    std::vector<Patch> patches;
  };
  std::vector<Content> contents;

  bool nothing() const { return kind == Kind::nothing; }
};

/// Brings a session's memory to a version the database has; implemented in coherence/adopt.hpp.
class Adopter {
 public:
  virtual ~Adopter() = default;
  /// Adopts (at least) version `upto`: waits for our own commit in flight, or applies the delta, or reloads.
  /// Blocks; no Mutex held. Errors: as Loader.
  virtual Status adopt(Version upto) = 0;
};

/// Thread-safe; every function blocks (inside a BlockingSection) and is called without a Mutex held.
class Fetcher {
 public:
  Fetcher(State& state, Loader& loader, Adopter& adopter, ContentCache& cache)
      : state_(state), loader_(loader), adopter_(adopter), cache_(cache) {}

  /// Loads what `need` names. Concurrent calls for the same thing share one load.
  /// Errors: as Loader; ENOENT when the inode itself is gone; ESTALE destroyed.
  Status fetch(const Need& need);

 private:
  Status fetch_once(const Need& need, bool& installed);
  Status fetch_contents(const Need& need);
  /// Rule 6: adopts first when `stamp` is ahead; false when the rows must be loaded again.
  template <class Untouched, class Install>
  Result<bool> admit(const Stamp& stamp, Untouched untouched, Install install);

  State& state_;
  Loader& loader_;
  Adopter& adopter_;
  ContentCache& cache_;
};

}  // namespace sboxfs
