#include "acl.hpp"

#include <endian.h>

#include <algorithm>
#include <cstring>

namespace sboxfs {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::uint16_t kUserObj = 0x01;
constexpr std::uint16_t kUser = 0x02;
constexpr std::uint16_t kGroupObj = 0x04;
constexpr std::uint16_t kGroup = 0x08;
constexpr std::uint16_t kMask = 0x10;
constexpr std::uint16_t kOther = 0x20;
constexpr std::size_t kEntryBytes = 8;
constexpr std::uint32_t kNobody = ~std::uint32_t{0};  // never a user's or group's id

std::uint16_t read16(const char* at) {
  std::uint16_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return le16toh(value);
}

std::uint32_t read32(const char* at) {
  std::uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return le32toh(value);
}

std::size_t count(const std::vector<AclEntry>& entries, std::uint16_t tag) {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const AclEntry& entry) { return entry.tag == tag; }));
}

const AclEntry* find(const std::vector<AclEntry>& entries, std::uint16_t tag) {
  const auto at = std::find_if(entries.begin(), entries.end(), [&](const AclEntry& e) { return e.tag == tag; });
  return at == entries.end() ? nullptr : &*at;
}

bool valid(const std::vector<AclEntry>& entries) {
  std::uint16_t before = 0;
  for (const AclEntry& entry : entries) {
    const bool known = entry.tag == kUserObj || entry.tag == kUser || entry.tag == kGroupObj || entry.tag == kGroup ||
                       entry.tag == kMask || entry.tag == kOther;
    if (!known || entry.perm > 7 || entry.tag < before) return false;
    const bool is_named = entry.tag == kUser || entry.tag == kGroup;
    if (is_named && entry.id == kNobody) return false;
    before = entry.tag;
  }
  const bool named = count(entries, kUser) + count(entries, kGroup) > 0;
  const std::size_t masks = count(entries, kMask);
  return count(entries, kUserObj) == 1 && count(entries, kGroupObj) == 1 && count(entries, kOther) == 1 && masks <= 1 &&
         (masks == 1 || !named);
}

/// Lets the owner, group-class and other entries keep only, or get exactly, the mode's bits.
template <class Change>
void for_classes(std::vector<AclEntry>& entries, mode_t mode, Change change) {
  const bool has_mask = count(entries, kMask) > 0;
  for (AclEntry& entry : entries) {
    if (entry.tag == kUserObj) change(entry.perm, (mode >> 6) & 7U);
    if (entry.tag == (has_mask ? kMask : kGroupObj)) change(entry.perm, (mode >> 3) & 7U);
    if (entry.tag == kOther) change(entry.perm, mode & 7U);
  }
}

}  // namespace

Result<std::vector<AclEntry>> parse_acl(std::string_view value) {
  if (value.size() < 4 || (value.size() - 4) % kEntryBytes != 0 || read32(value.data()) != kVersion)
    return fail(EINVAL);
  std::vector<AclEntry> entries;
  for (std::size_t at = 4; at < value.size(); at += kEntryBytes)
    entries.push_back({read16(value.data() + at), read16(value.data() + at + 2), read32(value.data() + at + 4)});
  if (!entries.empty() && !valid(entries)) return fail(EINVAL);
  return entries;
}

std::string format_acl(const std::vector<AclEntry>& entries) {
  std::string out(4 + entries.size() * kEntryBytes, '\0');
  const std::uint32_t version = htole32(kVersion);
  std::memcpy(out.data(), &version, sizeof version);
  char* at = out.data() + 4;
  for (const AclEntry& entry : entries) {
    const std::uint16_t tag = htole16(entry.tag);
    const std::uint16_t perm = htole16(entry.perm);
    const std::uint32_t id = htole32(entry.id);
    std::memcpy(at, &tag, sizeof tag);
    std::memcpy(at + 2, &perm, sizeof perm);
    std::memcpy(at + 4, &id, sizeof id);
    at += kEntryBytes;
  }
  return out;
}

mode_t acl_mode(const std::vector<AclEntry>& entries, mode_t mode, bool& minimal) {
  minimal = entries.size() <= 3;
  if (entries.empty()) return mode;
  const auto perm = [&](std::uint16_t tag) -> mode_t {
    const AclEntry* entry = find(entries, tag);
    return entry == nullptr ? 0 : entry->perm;
  };
  const mode_t group = perm(find(entries, kMask) != nullptr ? kMask : kGroupObj);
  return (mode & ~mode_t{0777}) | perm(kUserObj) << 6 | group << 3 | perm(kOther);
}

std::string chmod_acl(std::string_view value, mode_t mode) {
  Result<std::vector<AclEntry>> entries = parse_acl(value);
  if (!entries.ok()) return std::string(value);
  for_classes(*entries, mode, [](std::uint16_t& perm, unsigned bits) { perm = static_cast<std::uint16_t>(bits); });
  return format_acl(*entries);
}

void inherit_acl(std::string_view default_acl, mode_t& mode, std::string& access) {
  Result<std::vector<AclEntry>> entries = parse_acl(default_acl);
  if (!entries.ok() || entries->empty()) return;
  for_classes(*entries, mode,
              [](std::uint16_t& perm, unsigned bits) { perm = static_cast<std::uint16_t>(perm & bits); });
  bool minimal = false;
  mode = acl_mode(*entries, mode, minimal);
  if (!minimal) access = format_acl(*entries);
}

}  // namespace sboxfs
