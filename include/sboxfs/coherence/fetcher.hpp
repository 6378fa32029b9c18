// Loads, by the load rule (design, invariant 6): what is missing in memory is read, and installed only if it can not
// bring an older state back.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "sboxfs/content/cache.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/ports/loader.hpp"

namespace sboxfs {

/// What an operation found missing under State::mu. One at a time: the operation is tried again after the load.
struct Need {
  enum class Kind { nothing, inode, name, listing, chunks, contents, xattrs };
  Kind kind = Kind::nothing;
  Ino ino = 0;               ///< the inode; of name and listing the directory
  std::uint64_t cookie = 0;  ///< name: its cookie; listing: where the missing part starts
  std::uint32_t first = 0;   ///< chunks
  std::uint32_t limit = 0;   ///< so many of those that exist
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

struct FetcherLimits {
  std::size_t metadata_bytes = 128U << 20;  ///< the tree is evicted down to this after a load
  std::uint32_t directory_page = 10'000;    ///< entries a load of a directory brings at most
};

/// Thread-safe; every function blocks (inside a BlockingSection) and is called without a Mutex held.
class Fetcher {
 public:
  Fetcher(State& state, Loader& loader, Adopter& adopter, ContentCache& cache, FetcherLimits limits = {})
      : state_(state), loader_(loader), adopter_(adopter), cache_(cache), limits_(limits) {}

  /// Loads what `need` names. Concurrent calls for the same thing share one load.
  /// Errors: as Loader; ESTALE when the inode itself is gone.
  Status fetch(const Need& need);

 private:
  /// What concurrent loads are told apart by.
  struct Key {
    Need::Kind kind;
    Ino ino;
    std::uint64_t where;
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr)
  };
  /// Whether the calling thread shall load it; false: another one did, and has ended.
  Result<bool> begin(const Key& key);
  void end(const Key& key);

  Status load(const Need& need);
  Status load_inode(Ino ino);
  Status load_name(const Need& need);
  Status load_listing(Ino dir, std::uint64_t from);
  Status load_directories(const std::vector<Ino>& dirs);
  std::vector<Ino> directories_ahead(Ino dir);
  void install_listing(const LoadedDir& page, std::uint64_t from, Version at) REQUIRES(state_.mu);
  Status load_chunks(const Need& need);
  Status load_contents(const Need& need);
  Status load_small_files(const std::vector<Ino>& files, std::uint64_t budget);
  Status load_xattrs(Ino ino);
  std::vector<Ino> small_files_behind(Ino ino, std::uint64_t& budget);
  /// The load rule: `read` (from the database) until `install` may put its rows into memory; `untouched(version)` says
  /// that no change after `version` touches them. The last two run under State::mu.
  template <class Read, class Untouched, class Install>
  Status load_by_rule(Read read, Untouched untouched, Install install);
  /// After entries of `dir` read at version `at` < seen were installed: takes back what has changed since.
  void take_back(Version at, Ino dir, const std::vector<Entry>& entries) REQUIRES(state_.mu);

  State& state_;
  Loader& loader_;
  Adopter& adopter_;
  ContentCache& cache_;
  const FetcherLimits limits_;
  Mutex loading_mutex_;
  CondVar loaded_;
  std::set<Key> loading_ GUARDED_BY(loading_mutex_);
  /// Directories that listings brought up and nobody has listed yet, and how long the walk over them goes on.
  std::deque<Ino> unlisted_ GUARDED_BY(state_.mu);
  std::uint32_t walk_ GUARDED_BY(state_.mu) = 0;
  std::chrono::steady_clock::time_point last_listing_ GUARDED_BY(state_.mu);
};

}  // namespace sboxfs
