// What can go wrong between us and Postgres, classed by what the caller can do about it.
// The idea of the classes: libpqxx's except.hxx (broken_connection, in_doubt_error, sql_error).
#pragma once

#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

enum class PgOutcome {
  refused,      ///< the server answered an error: the statement was certainly not applied
  unreachable,  ///< nothing was sent: no connection, or none within the time-out
  in_doubt,     ///< the connection was lost, or the time ran out, after the statement may have reached the server
  interrupted   ///< the calling request was interrupted (as in doubt for statements that write)
};

struct PgFailure {
  PgOutcome outcome = PgOutcome::unreachable;
  std::string sqlstate;  ///< empty when the server did not say
  std::string message;   ///< one line, without passwords
};

/// SQLSTATEs of our own functions (class SB is not used by Postgres).
namespace sqlstate {
inline constexpr std::string_view kFenced = "SB001";     ///< epoch or base version did not match
inline constexpr std::string_view kDestroyed = "SB002";  ///< the sandbox was destroyed, or there is none
inline constexpr std::string_view kDead = "SB003";       ///< the session was declared dead
}  // namespace sqlstate

/// ESTALE for our own SQLSTATEs, EINTR interrupted, EACCES refused role, password or privilege, ENOSPC disk full,
/// EEXIST a unique key is taken, EPROTO the schema lacks what was asked; EIO for the rest.
Error to_error(const PgFailure& failure);

}  // namespace sboxfs
