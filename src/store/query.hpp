// What every statement of a sandbox has in common: $1 tenant, $2 sandbox, and an answer that must have rows.
#pragma once

#include "sboxfs/base/result.hpp"
#include "sboxfs/pg/pool.hpp"
#include "sboxfs/store/context.hpp"

namespace sboxfs::store_detail {

/// $1 and $2.
PgParams params_of(const StoreContext& context);
PgParams params_of(const std::string& tenant, const SandboxId& sandbox);

/// Runs it; a failure as an Error.
Result<PgRows> run(PgPool& pool, const PgStatement& statement, const PgParams& params, PgRun how = {});

/// Runs a load: no row means that the sandbox is destroyed or unknown (ESTALE).
Result<PgRows> load(const StoreContext& context, const PgStatement& statement, const PgParams& params, PgRun how = {});

/// version and batch, at columns 0 and 1 of the first row.
Stamp read_stamp(const PgRows& rows, int row = 0, int first = 0);

/// A parameter in nanoseconds as an interval.
#define SBOXFS_NS(param) "make_interval(secs => " param "::bigint / 1e9)"

/// A timestamp's nanoseconds since 1970 (microsecond grain).
#define SBOXFS_NS_OF(timestamp) "(extract(epoch FROM " timestamp ") * 1000000000)::bigint"

}  // namespace sboxfs::store_detail
