// The records of this home's mounts: one file per mount in $SBOXFS_HOME/run, flocked by its process for as long as it
// lives. A record whose lock is free belongs to a process that has died, whatever its pid means today.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "sboxfs/base/fd.hpp"
#include "sboxfs/base/result.hpp"
#include "sboxfs/model/ids.hpp"
#include "sboxfs/services/home.hpp"

namespace sboxfs {

struct MountRecord {
  SandboxId sandbox;
  std::string name;  ///< of the sandbox, when it was mounted
  std::string tenant;
  std::string mount_point;  ///< absolute, links resolved
  std::string control;      ///< path of the control socket
  std::string log_file;     ///< empty: standard error
  pid_t pid = 0;
  bool read_only = false;
  bool for_exec = false;  ///< made by `sboxfs exec`, goes by itself when unused

  std::string file;    ///< where the record is
  bool alive = false;  ///< its process holds the lock
};

/// A record being written by the mount's own process. The file and the socket go with it.
class OwnRecord {
 public:
  /// Waits until no earlier process holds the record of this sandbox at this directory (it may still be committing
  /// after an umount), then takes it. Fills in `pid`, `control` and `file`. EBUSY when that one is mounted there, or
  /// still there after 120 s.
  static Result<OwnRecord> take(const Home& home, MountRecord record);
  OwnRecord(OwnRecord&&) = default;
  OwnRecord& operator=(OwnRecord&&) = default;
  ~OwnRecord();
  const MountRecord& record() const { return record_; }

 private:
  OwnRecord(MountRecord record, UniqueFd lock) : record_(std::move(record)), lock_(std::move(lock)) {}
  MountRecord record_;
  UniqueFd lock_;
};

/// All records, dead ones too, by mount point. Unreadable ones are left out.
std::vector<MountRecord> list_mount_records(const Home& home);
/// The living mount at exactly this directory.
std::optional<MountRecord> find_mount_at(const Home& home, const std::string& mount_point);
/// Removes the files of records whose process has died.
void remove_dead_records(const Home& home);
/// Waits until the record's process has ended; false when it still runs after `timeout_ms`.
bool wait_for_end(const MountRecord& record, int timeout_ms);

/// One line of JSON, and back. EINVAL: not a record.
std::string record_to_json(const MountRecord& record);
Result<MountRecord> record_from_json(const std::string& text);

}  // namespace sboxfs
