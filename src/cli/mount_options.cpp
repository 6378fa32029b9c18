#include "sboxfs/cli/mount_options.hpp"

#include <charconv>
#include <functional>
#include <map>
#include <set>

#include "sboxfs/base/text.hpp"

namespace sboxfs::cli {
namespace {

using Setter = std::function<void(SessionOptions&, MountPointOptions&)>;

const std::map<std::string, Setter, std::less<>>& plain_words() {
  static const std::map<std::string, Setter, std::less<>> words = {
      {"ro", [](SessionOptions& s, MountPointOptions&) { s.vfs.read_only = true; }},
      {"rw", [](SessionOptions& s, MountPointOptions&) { s.vfs.read_only = false; }},
      {"async", [](SessionOptions& s, MountPointOptions&) { s.vfs.durability = Durability::async; }},
      {"cto", [](SessionOptions& s, MountPointOptions&) { s.vfs.durability = Durability::cto; }},
      {"sync", [](SessionOptions& s, MountPointOptions&) { s.vfs.durability = Durability::sync; }},
      {"allow_other", [](SessionOptions& s, MountPointOptions&) { s.allow_other = true; }},
      {"dev", [](SessionOptions& s, MountPointOptions&) { s.dev = true; }},
      {"nodev", [](SessionOptions& s, MountPointOptions&) { s.dev = false; }},
      {"suid", [](SessionOptions& s, MountPointOptions&) { s.suid = true; }},
      {"nosuid", [](SessionOptions& s, MountPointOptions&) { s.suid = false; }},
      {"dirsync", [](SessionOptions& s, MountPointOptions&) { s.vfs.durability = Durability::sync; }},
      {"exec", [](SessionOptions& s, MountPointOptions&) { s.noexec = false; }},
      {"noexec", [](SessionOptions& s, MountPointOptions&) { s.noexec = true; }},
      {"atime", [](SessionOptions& s, MountPointOptions&) { s.vfs.atime = Atime::relative; }},
      {"noatime", [](SessionOptions& s, MountPointOptions&) { s.vfs.atime = Atime::never; }},
      {"relatime", [](SessionOptions& s, MountPointOptions&) { s.vfs.atime = Atime::relative; }},
      {"norelatime", [](SessionOptions& s, MountPointOptions&) { s.vfs.atime = Atime::always; }},
      {"strictatime", [](SessionOptions& s, MountPointOptions&) { s.vfs.atime = Atime::always; }},
      {"nostrictatime", [](SessionOptions& s, MountPointOptions&) { s.vfs.atime = Atime::relative; }},
      {"diratime", [](SessionOptions& s, MountPointOptions&) { s.vfs.nodiratime = false; }},
      {"nodiratime", [](SessionOptions& s, MountPointOptions&) { s.vfs.nodiratime = true; }},
      {"strict", [](SessionOptions& s, MountPointOptions&) { s.vfs.strict = true; }},
      {"local_lock", [](SessionOptions& s, MountPointOptions&) { s.local_lock = true; }},
      {"nonempty", [](SessionOptions&, MountPointOptions& m) { m.nonempty = true; }},
  };
  return words;
}

/// Meant for mount(8) and fstab, or about what is always so here (access times are written lazily, default_permissions
/// is on): nothing to do.
bool is_for_mount8(std::string_view word) {
  static const std::set<std::string_view> words = {
      "defaults", "auto",     "noauto",     "user",     "nouser",     "users",   "nousers",
      "group",    "nogroup",  "owner",      "noowner",  "nofail",     "_netdev", "silent",
      "loud",     "lazytime", "nolazytime", "iversion", "noiversion", "nomand",  "default_permissions"};
  return words.count(word) != 0 || word.substr(0, 2) == "x-" || word.substr(0, 2) == "X-" ||
         word.substr(0, 8) == "comment=";
}

Result<unsigned> parse_id(const std::string& text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(EINVAL, cat("'", text, "' is not a number"));
  return number;
}

Status apply_word(const std::string& word, SessionOptions& session, MountPointOptions& mount_point) {
  if (const auto found = plain_words().find(word); found != plain_words().end()) {
    found->second(session, mount_point);
    return {};
  }
  if (is_for_mount8(word)) return {};
  const std::size_t equals = word.find('=');
  const std::string key = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? std::string() : word.substr(equals + 1);
  if (key != "uid" && key != "gid") return fail(EINVAL, cat("unknown mount option '", word, "'"));
  const auto number = parse_id(value);
  if (!number.ok()) return fail(EINVAL, cat("mount option ", key, "=: ", number.error().what));
  (key == "uid" ? session.vfs.uid : session.vfs.gid) = *number;
  return {};
}

}  // namespace

Status apply_mount_options(const std::string& words, SessionOptions& session, MountPointOptions& mount_point) {
  for (std::size_t start = 0; start <= words.size();) {
    const std::size_t end = std::min(words.find(',', start), words.size());
    const std::string word = words.substr(start, end - start);
    start = end + 1;
    if (!word.empty()) SBOXFS_TRY(apply_word(word, session, mount_point));
  }
  return {};
}

}  // namespace sboxfs::cli
