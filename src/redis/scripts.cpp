#include "scripts.hpp"

#include <openssl/evp.h>

#include "sboxfs/base/text.hpp"

namespace sboxfs {
namespace {

// A key of the wrong type, or whose value is no version, is replaced: it can only have come from outside. Versions are
// compared as decimal text, the longer one is the larger: Lua's numbers are exact only up to 2^53. The announcement
// goes out even if Redis has no memory for the key: those who hear it ask Postgres.
constexpr std::string_view kPublish = R"lua(
local now = redis.pcall('GET', KEYS[1])
if type(now) ~= 'string' or #now > 18 or not string.match(now, '^[1-9]%d*$') then now = nil end
local new = ARGV[1]
local failed = nil
if not now or #new > #now or (#new == #now and new > now) then
  local set = redis.pcall('SET', KEYS[1], new)
  if set.err then failed = set end
  now = new
end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return failed or now
)lua";

constexpr std::string_view kLower = R"lua(
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
)lua";

std::string sha1_hex(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  // An empty name is one Redis does not know: it is then sent the script itself.
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) != 1) return {};
  return to_hex({reinterpret_cast<const char*>(digest), size});
}

}  // namespace

Script::Script(std::string_view source) : text(source), sha(sha1_hex(source)) {}

const Script& publish_script() {
  static const Script script(kPublish);
  return script;
}

const Script& lower_script() {
  static const Script script(kLower);
  return script;
}

}  // namespace sboxfs
