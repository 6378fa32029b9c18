#include "sboxfs/pg/conninfo.hpp"

#include <libpq-fe.h>

#include <memory>

#include "sboxfs/base/text.hpp"

namespace sboxfs {

template <class Options>
Conninfo Conninfo::collect(const Options& options) {
  Conninfo out;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) out.settings_[option->keyword] = option->val;
  }
  return out;
}

Result<Conninfo> Conninfo::defaults() {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconndefaults(), PQconninfoFree);
  if (options == nullptr) return fail(ENOMEM, "libpq has no defaults");
  return collect(options);
}

Result<Conninfo> Conninfo::parse(const std::string& text) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(text.c_str(), &message),
                                                                             PQconninfoFree);
  PQfreemem(message);
  if (options == nullptr) return fail(EINVAL, "not a Postgres connection string or URI");
  return collect(options);
}

std::string Conninfo::get(const std::string& key) const {
  const auto found = settings_.find(key);
  return found == settings_.end() ? std::string() : found->second;
}

std::string Conninfo::text() const {
  std::string out;
  for (const auto& [key, value] : settings_) {
    out += cat(out.empty() ? "" : " ", key, "='");
    for (char c : value) {
      if (c == '\\' || c == '\'') out += '\\';
      out += c;
    }
    out += '\'';
  }
  return out;
}

Result<std::string> scram_verifier(const std::string& role, const std::string& password) {
  // libpq wants a connection object to put its message into; with the algorithm named it asks the server nothing, so
  // one that was never connected will do.
  const std::unique_ptr<PGconn, decltype(&PQfinish)> conn(PQconnectStart("host=/nonexistent"), PQfinish);
  const std::unique_ptr<char, decltype(&PQfreemem)> verifier(
      PQencryptPasswordConn(conn.get(), password.c_str(), role.c_str(), "scram-sha-256"), PQfreemem);
  if (verifier == nullptr) return fail(EIO, "libpq can not hash the password");
  return std::string(verifier.get());
}

}  // namespace sboxfs
