// Writing the truth. Implemented by store (Postgres) and by the tests' fakes.
// Thread rules: as ports/loader.hpp; commit() is called by one thread at a time.
#pragma once

#include <cstdint>
#include <span>

#include "sboxfs/model/batch.hpp"

namespace sboxfs {

struct BlobPut {
  Hash hash;
  Bytes data;
};

enum class CommitState {
  committed,    ///< in the database, at `stamp`
  not_applied,  ///< certainly not in the database; the same batch may be tried again
  in_doubt,     ///< the connection was lost after COMMIT may have reached the server: ask look_up()
  fenced,       ///< epoch or base did not match: the lease is lost for good
  destroyed     ///< the sandbox was destroyed
};

struct CommitOutcome {
  CommitState state = CommitState::not_applied;
  Stamp stamp;                    ///< when committed
  Version published_version = 0;  ///< what the row says after the commit
  bool alone = false;             ///< when committed: no other session of the sandbox was alive
  Error error;                    ///< when not committed: why
};

/// The right a commit is made under.
struct CommitTerms {
  Epoch epoch = 0;
  Stamp base;                     ///< the version the batch was built on
  Version published_version = 0;  ///< what Redis has acknowledged so far: advanced for free in the same UPDATE
  std::int64_t lease_ns = 0;      ///< renewed by the commit for this long
};

class Sink {
 public:
  virtual ~Sink() = default;
  /// Stores blobs ahead of the metadata (idempotent; clears dead marks). Several threads may call it at once.
  /// Errors: EIO unreachable (try again), ENOSPC the database is full.
  virtual Status upload(std::span<const BlobPut> blobs) = 0;
  /// One transaction: all rows, the change row, and last the sandbox's row WHERE epoch and version match.
  virtual CommitOutcome commit(const Batch& batch, const CommitTerms& terms) = 0;
  /// After in_doubt: locks the sandbox's row (so a hung backend can no longer commit behind the answer), then looks
  /// for `batch` in the change rows. Returns committed, not_applied, fenced or destroyed; in_doubt: could not ask.
  virtual CommitOutcome look_up(const BatchId& batch, const CommitTerms& terms) = 0;
  /// Records that Redis has acknowledged `version` (never lowers it). Errors: EIO.
  virtual Status published(Version version) = 0;
};

}  // namespace sboxfs
