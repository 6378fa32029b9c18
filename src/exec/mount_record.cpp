#include "sboxfs/exec/mount_record.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "sboxfs/base/hash.hpp"
#include "sboxfs/base/text.hpp"
#include "sboxfs/base/text_file.hpp"
#include "sboxfs/exec/mount_point.hpp"

namespace sboxfs {
namespace {

constexpr std::string_view kSuffix = ".mount";
constexpr int kPollMs = 20;
/// How long an earlier process at the same directory may take to commit.
constexpr int kEndingMs = 120'000;

std::string stem(const MountRecord& record) {
  return cat(record.sandbox.text(), "-", to_hex(sha256(record.mount_point).view().substr(0, 4)));
}

/// Whether some process holds the lock of `file`. Looks with a shared lock, so that lookers do not disturb each other.
bool is_locked(const std::string& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

/// The lock was taken on the file that has this name now, not on one that was removed meanwhile.
bool is_current(int fd, const std::string& file) {
  struct stat held {};
  struct stat named {};
  return ::fstat(fd, &held) == 0 && ::stat(file.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

Status write_record(int fd, const MountRecord& record) {
  const std::string text = record_to_json(record) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail(errno, cat("can not write ", record.file));
  }
  return {};
}

}  // namespace

Result<OwnRecord> OwnRecord::take(const Home& home, MountRecord record) {
  const std::string name = stem(record);
  record.file = cat(home.run_dir(), "/", name, kSuffix);
  const std::string sockets = home.socket_dir(home.run_dir(), name.size() + 5);
  if (sockets != home.run_dir()) SBOXFS_TRY(make_private_directory(sockets, ::geteuid(), ::getegid()));
  record.control = cat(sockets, "/", name, ".sock");
  record.pid = ::getpid();
  for (int waited = 0;; waited += kPollMs) {
    auto lock = try_lock_file(record.file);
    if (lock.ok() && !is_current(lock->get(), record.file)) continue;
    if (!lock.ok() && lock.code() != EWOULDBLOCK) return Error(lock.error());
    if (lock.ok()) {
      SBOXFS_TRY(write_record(lock->get(), record));
      return OwnRecord(std::move(record), std::move(*lock));
    }
    if (mounted_at(record.mount_point).mounted || waited >= kEndingMs) {
      return fail(EBUSY, cat("another process mounts this sandbox at ", record.mount_point));
    }
    ::poll(nullptr, 0, kPollMs);
  }
}

OwnRecord::~OwnRecord() {
  if (!lock_) return;
  ::unlink(record_.control.c_str());
  ::unlink(record_.file.c_str());
}

std::vector<MountRecord> list_mount_records(const Home& home) {
  std::vector<MountRecord> records;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(home.run_dir(), error)) {
    if (entry.path().extension() != kSuffix) continue;
    const auto text = read_text_file(entry.path());
    if (!text.ok()) continue;
    auto record = record_from_json(*text);
    if (!record.ok()) continue;
    record->file = entry.path();
    record->alive = is_locked(record->file);
    records.push_back(std::move(record).value());
  }
  std::sort(records.begin(), records.end(),
            [](const MountRecord& a, const MountRecord& b) { return a.mount_point < b.mount_point; });
  return records;
}

std::optional<MountRecord> find_mount_at(const Home& home, const std::string& mount_point) {
  for (MountRecord& record : list_mount_records(home)) {
    if (record.alive && record.mount_point == mount_point) return std::move(record);
  }
  return std::nullopt;
}

void remove_dead_records(const Home& home) {
  for (const MountRecord& record : list_mount_records(home)) {
    if (record.alive) continue;
    const auto lock = try_lock_file(record.file);
    if (!lock.ok() || !is_current(lock->get(), record.file)) continue;
    ::unlink(record.control.c_str());
    ::unlink(record.file.c_str());
  }
}

bool wait_for_end(const MountRecord& record, int timeout_ms) {
  for (int waited = 0; is_locked(record.file); waited += kPollMs) {
    if (waited >= timeout_ms) return false;
    ::poll(nullptr, 0, kPollMs);
  }
  return true;
}

std::string record_to_json(const MountRecord& record) {
  return nlohmann::json{{"sandbox", record.sandbox.text()},
                        {"name", record.name},
                        {"tenant", record.tenant},
                        {"mount_point", record.mount_point},
                        {"control", record.control},
                        {"log_file", record.log_file},
                        {"pid", record.pid},
                        {"read_only", record.read_only},
                        {"for_exec", record.for_exec}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<MountRecord> record_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(EINVAL, "not a mount record");
  MountRecord record;
  try {
    SBOXFS_ASSIGN(record.sandbox, Uuid::parse(json.at("sandbox").get<std::string>()));
    record.name = json.at("name").get<std::string>();
    record.tenant = json.at("tenant").get<std::string>();
    record.mount_point = json.at("mount_point").get<std::string>();
    record.control = json.at("control").get<std::string>();
    record.log_file = json.at("log_file").get<std::string>();
    record.pid = json.at("pid").get<pid_t>();
    record.read_only = json.at("read_only").get<bool>();
    record.for_exec = json.at("for_exec").get<bool>();
  } catch (const nlohmann::json::exception&) {
    return fail(EINVAL, "not a mount record");
  }
  return record;
}

}  // namespace sboxfs
