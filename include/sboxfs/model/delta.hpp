// What one version changed: the body of its change row. It names; it carries no contents.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/model/attr.hpp"
#include "sboxfs/model/ids.hpp"

namespace sboxfs {

/// (parent, name) appeared, went or changed its target.
struct NameChange {
  Ino parent = 0;
  std::string name;
  bool operator==(const NameChange&) const = default;
};

/// Bits of InodeChange::what.
constexpr std::uint8_t kChangedAttr = 1;
constexpr std::uint8_t kChangedData = 2;  ///< in `data`
constexpr std::uint8_t kChangedXattr = 4;
constexpr std::uint8_t kChangedGone = 8;  ///< nlink became 0

struct InodeChange {
  Ino ino = 0;
  std::uint8_t what = 0;
  std::vector<Range> data;  ///< byte ranges whose contents changed (a truncation: [new size, old size))
  bool operator==(const InodeChange&) const = default;
};

struct Delta {
  std::vector<NameChange> names;
  std::vector<InodeChange> inodes;
  bool operator==(const Delta&) const = default;
  bool empty() const { return names.empty() && inodes.empty(); }
};

/// One change row.
struct Change {
  Stamp stamp;
  Epoch epoch = 0;
  SessionId session;
  Delta delta;
};

/// The body as bytes (varints and length-prefixed names behind a format byte), and back; EBADMSG for anything else.
std::string encode_delta(const Delta& delta);
Result<Delta> decode_delta(std::string_view bytes);

}  // namespace sboxfs
