#include "sboxfs/model/delta.hpp"

namespace sboxfs {
namespace {

constexpr char kFormat = 1;

void put(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

/// Reads what put() wrote; once something is wrong, everything after reads as 0 and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    broken_ = true;
    rest_ = {};
    return 0;
  }

  /// How many items follow; each takes at least one byte, so a larger count is a broken body, not an allocation.
  std::uint64_t count() {
    const std::uint64_t value = number();
    if (value <= rest_.size()) return value;
    broken_ = true;
    return 0;
  }

  std::string bytes() {
    const std::uint64_t size = count();
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }

  bool ok() const { return !broken_; }
  bool done() const { return !broken_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace

std::string encode_delta(const Delta& delta) {
  std::string out(1, kFormat);
  put(out, delta.names.size());
  for (const NameChange& change : delta.names) {
    put(out, change.parent);
    put(out, change.name.size());
    out += change.name;
  }
  put(out, delta.inodes.size());
  for (const InodeChange& change : delta.inodes) {
    put(out, change.ino);
    put(out, change.what);
    put(out, change.data.size());
    for (const Range& range : change.data) {
      put(out, range.from);
      put(out, range.to - range.from);
    }
  }
  return out;
}

Result<Delta> decode_delta(std::string_view bytes) {
  if (bytes.empty() || bytes.front() != kFormat) return fail(EBADMSG, "a change row of an unknown format");
  Reader reader(bytes.substr(1));
  Delta delta;
  for (std::uint64_t left = reader.count(); left > 0 && reader.ok(); --left) {
    NameChange change;
    change.parent = reader.number();
    change.name = reader.bytes();
    delta.names.push_back(std::move(change));
  }
  for (std::uint64_t left = reader.count(); left > 0 && reader.ok(); --left) {
    InodeChange change;
    change.ino = reader.number();
    change.what = static_cast<std::uint8_t>(reader.number());
    for (std::uint64_t ranges = reader.count(); ranges > 0 && reader.ok(); --ranges) {
      const std::uint64_t from = reader.number();
      change.data.push_back({from, from + reader.number()});
    }
    delta.inodes.push_back(std::move(change));
  }
  if (!reader.done()) return fail(EBADMSG, "a damaged change row");
  return delta;
}

}  // namespace sboxfs
