// One session over a FakeStore: State, Adoption, Fetcher, Committer and Vfs as a mount has them, with a clock the test
// moves and a lease that is always granted (another session that holds it first commits what it has accepted).
//
//   FakeStore store;
//   FakeSession one(store), two(store);
//   one.vfs.mkdir(one.root, kRootIno, "d", 0755);
//   one.sync();      // everything accepted is committed
//   two.adopt();     // ... and two knows (memory only; there is no kernel)
//   check_committed(one);   // rows are sound, and a fresh session over the store sees the same tree
#pragma once

#include <atomic>
#include <string>

#include "fake_store.hpp"
#include "sboxfs/coherence/adopt.hpp"
#include "sboxfs/vfs/vfs.hpp"

namespace sboxfs::test {

/// Both clocks stand still until they are moved. Thread-safe.
class ManualClock final : public Clock {
 public:
  std::int64_t monotonic_ns() const override { return now_; }
  std::int64_t wall_ns() const override { return now_; }
  void advance(std::int64_t ns) { now_ += ns; }

 private:
  std::atomic<std::int64_t> now_{1'000'000'000'000};
};

class FakeSession;

/// Who holds the fake lease of a FakeStore; shared by its sessions through the store's address.
class FakeAccess final : public WriteAccess {
 public:
  explicit FakeAccess(FakeSession& session) : session_(session) {}
  ~FakeAccess() override;
  Status acquire() override;
  Status more_inos() override;

 private:
  FakeSession& session_;
};

class FakeSession {
 public:
  explicit FakeSession(FakeStore& fake_store, VfsOptions options = {}, FetcherLimits limits = {},
                       CommitterOptions committing = {});
  ~FakeSession();
  FakeSession(const FakeSession&) = delete;
  FakeSession& operator=(const FakeSession&) = delete;

  /// Commits everything accepted; throws when that fails.
  void sync();
  /// Adopts whatever the store has; throws when that fails.
  void adopt();
  /// Commits, and gives the lease up.
  void give_up_lease();
  /// Forgets everything clean, as if it had never been loaded (the metadata cache was too small).
  void evict();
  /// Looks a path up from the root ("a/b/c"; "" is the root); the lookups are forgotten again.
  Result<Found> find(const std::string& path);
  /// These throw when they fail. A file with these contents, closed and forgotten by the kernel; a directory (0755),
  /// forgotten as well; a handle.
  Ino write_file(Ino parent, const std::string& name, const std::string& contents);
  Ino make_dir(Ino parent, const std::string& name);
  std::unique_ptr<Handle> open(Ino ino, int flags);
  /// The whole contents of a file.
  Result<std::string> read_file(Ino ino);
  /// All names of a directory without "." and "..", read in pieces of `piece` entries.
  Result<std::vector<std::string>> list(Ino dir, std::size_t piece = 100);
  /// The whole tree as text: a line a name, with attributes, contents, targets and xattrs. atime is left out.
  std::string describe();

  /// Somebody with umask 022: root, and two users.
  const Caller root{0, 0, 1, 022};
  const Caller alice{1000, 1000, 2, 022};

  FakeStore& store;
  ManualClock clock;
  State state;
  ContentCache cache{16U << 20};
  std::vector<Ino> orphaned;  ///< what adoptions reported for pinning
  Adoption adoption;
  Fetcher fetcher;
  Committer committer;
  FakeAccess access{*this};
  Vfs vfs;

 private:
  void describe(Ino ino, const std::string& path, std::string& out);
};

/// Commits, then checks (doctest) that the store's rows are sound and that a second session sees the same tree.
void check_committed(FakeSession& session);

}  // namespace sboxfs::test
