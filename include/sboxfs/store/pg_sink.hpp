// ports/sink.hpp over Postgres: a commit is one call of sboxfs.commit_batch, so one round trip.
#pragma once

#include "sboxfs/ports/sink.hpp"
#include "sboxfs/store/context.hpp"

namespace sboxfs {

/// Thread-safe, as the port says.
class PgSink final : public Sink {
 public:
  explicit PgSink(StoreContext context) : context_(std::move(context)) {}

  Status upload(std::span<const BlobPut> blobs) override;
  CommitOutcome commit(const Batch& batch, const CommitTerms& terms) override;
  CommitOutcome look_up(const BatchId& batch, const CommitTerms& terms) override;
  Status published(Version version) override;

 private:
  const StoreContext context_;
};

}  // namespace sboxfs
