#include "sboxfs/pg/failure.hpp"

#include "message.hpp"

namespace sboxfs {
namespace {

int refused_errno(std::string_view state) {
  if (state.substr(0, 2) == "SB") return ESTALE;
  if (state.substr(0, 2) == "28" || state == "42501") return EACCES;  // authorization, insufficient_privilege
  if (state == "53100") return ENOSPC;                                // disk_full
  if (state == "23505") return EEXIST;                                // unique_violation
  if (state == "3F000" || state.substr(0, 3) == "42P" || state == "42883" || state == "42703") return EPROTO;
  return EIO;
}

}  // namespace

Error to_error(const PgFailure& failure) {
  switch (failure.outcome) {
    case PgOutcome::interrupted: return fail(EINTR, failure.message);
    case PgOutcome::refused: {
      const int code = refused_errno(failure.sqlstate);
      if (code == EPROTO)
        return fail(EPROTO, "the database has no sboxfs schema, or another version of it: " + failure.message);
      return fail(code, failure.message);
    }
    case PgOutcome::unreachable:
    case PgOutcome::in_doubt: break;
  }
  return fail(EIO, failure.message);
}

namespace pg_detail {

std::string one_line(std::string_view message) {
  for (std::string_view prefix : {"ERROR:  ", "FATAL:  "}) {
    if (message.substr(0, prefix.size()) == prefix) message.remove_prefix(prefix.size());
  }
  std::string out(message.substr(0, message.find('\n')));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return out;
}

}  // namespace pg_detail
}  // namespace sboxfs
