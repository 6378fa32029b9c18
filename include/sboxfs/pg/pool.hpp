// The connections of one role to one database.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "sboxfs/base/mutex.hpp"
#include "sboxfs/pg/connection.hpp"
#include "sboxfs/pg/options.hpp"

namespace sboxfs {

/// How a statement may be run.
struct PgRun {
  /// It may be sent again on a new connection when the first was lost: it reads, or is idempotent.
  bool repeatable = true;
  /// Instead of the options' io_timeout_ns, when > 0.
  std::int64_t timeout_ns = 0;
};

/// Thread-safe. Connections are opened when needed, at most options.max_connections; broken ones are thrown away.
class PgPool {
 public:
  explicit PgPool(PgOptions options) : options_(std::move(options)) {}

  /// A connection on loan; given back, or destroyed when broken, with the object.
  class Loan {
   public:
    Loan(PgPool& pool, std::unique_ptr<PgConnection> connection, bool fresh)
        : pool_(&pool), connection_(std::move(connection)), fresh_(fresh) {}
    Loan(Loan&&) = default;
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (connection_ != nullptr) pool_->give_back(std::move(connection_));
    }
    PgConnection* operator->() const { return connection_.get(); }
    /// Opened just now, so a loss is not the fault of a restart in between.
    bool fresh() const { return fresh_; }

   private:
    PgPool* pool_;
    std::unique_ptr<PgConnection> connection_;
    bool fresh_;
  };

  /// Waits for a free connection or opens one, within `deadline_ns` (CLOCK_MONOTONIC), in a BlockingSection.
  std::variant<Loan, PgFailure> acquire(std::int64_t deadline_ns) EXCLUDES(mutex_);
  /// Runs one statement on any connection, in a BlockingSection, within the time-out.
  PgAnswer run(const PgStatement& statement, const PgParams& params, PgRun how = {}) EXCLUDES(mutex_);
  /// Closes the connections nobody uses (idle eviction). The pool goes on working.
  void close_idle() EXCLUDES(mutex_);
  /// Connections open now.
  unsigned open_connections() EXCLUDES(mutex_);
  /// Statements sent so far.
  std::uint64_t statements() const { return statements_; }
  const PgOptions& options() const { return options_; }
  /// CLOCK_MONOTONIC now plus the time-out.
  std::int64_t deadline(std::int64_t timeout_ns = 0) const;

 private:
  void give_back(std::unique_ptr<PgConnection> connection) EXCLUDES(mutex_);

  const PgOptions options_;
  std::atomic<std::uint64_t> statements_{0};
  Mutex mutex_;
  CondVar returned_;
  std::vector<std::unique_ptr<PgConnection>> idle_ GUARDED_BY(mutex_);
  unsigned open_ GUARDED_BY(mutex_) = 0;
};

}  // namespace sboxfs
