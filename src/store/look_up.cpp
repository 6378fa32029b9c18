#include "query.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/store/pg_sink.hpp"

namespace sboxfs {
namespace {

constexpr PgStatement kLookUp{"look_up", "SELECT state, published FROM sboxfs.look_up($1, $2, $3, $4, $5, $6)"};
constexpr PgStatement kPublished{"published", R"sql(
UPDATE sboxfs.sandboxes SET published_version = least($3, version)
 WHERE tenant = $1 AND id = $2 AND published_version < least($3, version))sql"};

}  // namespace

CommitOutcome PgSink::look_up(const BatchId& batch, const CommitTerms& terms) {
  CommitOutcome outcome;
  const PgAnswer answer = context_.pool->run(
      kLookUp,
      store_detail::params_of(context_).int8(terms.epoch).int8(terms.base.version).uuid(terms.base.batch).uuid(batch));
  if (!answer.ok()) {
    outcome.state = CommitState::in_doubt;
    outcome.error = to_error(answer.failure());
    return outcome;
  }
  switch (answer.rows().int4(0, 0)) {
    case 0:
      outcome.state = CommitState::committed;
      outcome.stamp = {terms.base.version + 1, batch};
      break;
    case 1:
      outcome.state = CommitState::not_applied;
      outcome.error = fail(EIO, "the commit did not reach Postgres");
      break;
    case 2:
      outcome.state = CommitState::fenced;
      outcome.error = fail(ESTALE, "the right to write this sandbox was lost");
      break;
    default:
      outcome.state = CommitState::destroyed;
      outcome.error = fail(ESTALE, "the sandbox was destroyed");
      break;
  }
  outcome.published_version = answer.rows().int8(0, 1);
  return outcome;
}

Status PgSink::published(Version version) {
  const auto done = store_detail::run(*context_.pool, kPublished, store_detail::params_of(context_).int8(version));
  return done.ok() ? Status() : Status(done.error());
}

}  // namespace sboxfs
