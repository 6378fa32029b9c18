#include "sboxfs/pg/pool.hpp"

#include <chrono>
#include <string>
#include <thread>

#include "sboxfs/base/blocking.hpp"
#include "wait.hpp"

namespace sboxfs {
namespace {

// How often new connections may be cut in a row, and the pause after each (times its number).
constexpr int kMostCuts = 6;
constexpr std::chrono::milliseconds kAfterCut{15};

/// Whether a connection was cut while it was made. libpq tells it by the text only.
bool was_cut(const PgFailure& failure) {
  return failure.outcome == PgOutcome::unreachable &&
         (failure.message.find("terminating connection") != std::string::npos ||
          failure.message.find("closed the connection unexpectedly") != std::string::npos);
}

}  // namespace

std::int64_t PgPool::deadline(std::int64_t timeout_ns) const {
  return pg_detail::now_ns() + (timeout_ns > 0 ? timeout_ns : options_.io_timeout_ns);
}

std::variant<PgPool::Loan, PgFailure> PgPool::acquire(std::int64_t deadline_ns) {
  const BlockingSection section;
  {
    MutexLock lock(mutex_);
    for (;;) {
      if (!idle_.empty()) {
        std::unique_ptr<PgConnection> connection = std::move(idle_.back());
        idle_.pop_back();
        if (!connection->stale()) return Loan(*this, std::move(connection), false);
        --open_;
        lock.unlock();
        connection.reset();
        lock.lock();
        continue;
      }
      if (open_ < options_.max_connections) break;
      returned_.wait_for(lock, std::chrono::milliseconds(20));
      if (BlockingSection::interrupted()) return PgFailure{PgOutcome::interrupted, {}, "interrupted"};
      if (pg_detail::now_ns() >= deadline_ns) {
        return PgFailure{PgOutcome::unreachable, {}, "Postgres: every connection is busy (time-out)"};
      }
    }
    ++open_;
  }
  auto connected = PgConnection::connect(options_, deadline_ns);
  if (auto* connection = std::get_if<0>(&connected)) return Loan(*this, std::move(*connection), true);
  MutexLock lock(mutex_);
  --open_;
  returned_.notify_one();
  return std::get<1>(std::move(connected));
}

PgAnswer PgPool::run(const PgStatement& statement, const PgParams& params, PgRun how) {
  const BlockingSection section;
  const std::int64_t end = deadline(how.timeout_ns);
  // A connection from the pool may have died while it lay there, which costs a try; so does a new one that is cut
  // (an administrator, a pooler or a fail-over cuts many, more than once). A server that is not there is told at once.
  for (int cuts = 0;;) {
    auto acquired = acquire(end);
    if (auto* failure = std::get_if<1>(&acquired)) {
      if (!was_cut(*failure) || ++cuts > kMostCuts) return std::move(*failure);
    } else {
      const Loan& loan = *std::get_if<0>(&acquired);
      ++statements_;
      PgAnswer answer = loan->run(statement, params, end);
      const bool lost = !answer.ok() && (answer.failure().outcome == PgOutcome::unreachable ||
                                         (answer.failure().outcome == PgOutcome::in_doubt && how.repeatable));
      if (!lost || pg_detail::now_ns() >= end) return answer;
      if (!loan.fresh()) continue;
      if (++cuts > kMostCuts) return answer;
    }
    std::this_thread::sleep_for(kAfterCut * cuts);
    if (BlockingSection::interrupted()) return PgFailure{PgOutcome::interrupted, {}, "interrupted"};
  }
}

void PgPool::give_back(std::unique_ptr<PgConnection> connection) {
  const bool broken = connection->broken();
  if (broken) connection.reset();
  MutexLock lock(mutex_);
  if (broken) {
    --open_;
  } else {
    idle_.push_back(std::move(connection));
  }
  returned_.notify_one();
}

void PgPool::close_idle() {
  std::vector<std::unique_ptr<PgConnection>> closing;
  MutexLock lock(mutex_);
  closing.swap(idle_);
  open_ -= static_cast<unsigned>(closing.size());
  lock.unlock();
  closing.clear();
  returned_.notify_all();
}

unsigned PgPool::open_connections() {
  MutexLock lock(mutex_);
  return open_;
}

}  // namespace sboxfs
