// Connection strings, taken apart and put together again. No I/O.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// The settings a libpq conninfo string or URI names.
class Conninfo {
 public:
  /// EINVAL when it is neither; the message does not repeat it (it may hold a password).
  static Result<Conninfo> parse(const std::string& text);

  /// What libpq uses for settings that a string does not name: environment, service file, built-in.
  static Result<Conninfo> defaults();

  /// Empty when it is not named.
  std::string get(const std::string& key) const;
  void set(const std::string& key, std::string value) { settings_[key] = std::move(value); }
  void erase(const std::string& key) { settings_.erase(key); }
  /// As keyword='value' pairs.
  std::string text() const;

 private:
  template <class Options>
  static Conninfo collect(const Options& options);

  std::map<std::string, std::string> settings_;
};

/// The SCRAM-SHA-256 verifier of `password`, fit for ALTER ROLE ... PASSWORD: the server never sees the password.
Result<std::string> scram_verifier(const std::string& role, const std::string& password);

}  // namespace sboxfs
