// What runs inside Redis.
#pragma once

#include <string>
#include <string_view>

namespace sboxfs {

/// A script and the name EVALSHA knows it by (its SHA-1 in hexadecimal).
struct Script {
  explicit Script(std::string_view source);
  std::string_view text;
  std::string sha;
};

/// KEYS: the version key. ARGV: version, channel, message. Returns the key's value afterwards.
const Script& publish_script();
/// KEYS: the version key. ARGV: from, to. Returns whether it was lowered.
const Script& lower_script();

}  // namespace sboxfs
