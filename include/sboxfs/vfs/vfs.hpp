// The file system's operations: POSIX semantics over tree, content and journal. No libfuse, no SQL.
//
// Shape of every operation: try under State::mu; what is missing in memory becomes a Need, is fetched without the
// lock, and the operation is tried again from the start. Changing operations first get the lease and room in the
// journal, and change tree and journal in one critical section (so a batch is a consistent prefix); under `sync` they
// then wait for their batch.
// Permissions: the kernel checks them (default_permissions); here is what the kernel can not know.
// Errors of every function, besides its own: EIO (database away, changes lost), ESTALE (sandbox destroyed, or the
// inode is gone), EINTR (interrupted), EROFS (changing operations on a read-only mount).
// Thread rules: every function may be called from any thread, may block, and is called without a Mutex held.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sboxfs/coherence/fetcher.hpp"
#include "sboxfs/journal/committer.hpp"
#include "sboxfs/journal/state.hpp"
#include "sboxfs/lease/access.hpp"
#include "sboxfs/locks/locks.hpp"

namespace sboxfs {

enum class Durability { async, cto, sync };
/// When reading moves atime, in mount(8)'s words: noatime, relatime, strictatime.
enum class Atime { never, relative, always };

struct VfsOptions {
  Durability durability = Durability::async;
  bool read_only = false;
  Atime atime = Atime::relative;
  bool nodiratime = false;
  bool strict = false;
  std::uint64_t cut_bytes = 16ULL << 30;  ///< one commit cuts off no more than that (it deletes a row per chunk)
  std::optional<uid_t>
      uid;  ///< -o uid=: every file is shown as this user's; new ones are stored as the mounting user's
  std::optional<gid_t> gid;
};

/// Who asks.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  mode_t umask = 0;
};

/// What the rarer rules ask about a caller.
struct Credentials {
  std::vector<gid_t> groups;  ///< all of them
  bool fowner = false;        ///< CAP_FOWNER: may what a file's owner may
  bool fsetid = false;        ///< CAP_FSETID: set-user-ID and set-group-ID bits stay
  bool sys_admin = false;     ///< CAP_SYS_ADMIN: sees trusted.* attributes
  bool in_group(gid_t gid) const;
};

/// An inode as an answer. `generation` is State::generation at the time it was computed.
struct Found {
  Ino ino = 0;
  Attr attr;
  std::uint64_t generation = 0;
};

/// An open file. Owned by the caller between open()/create() and release(); used by several threads at once.
struct Handle {
  Ino ino = 0;
  int flags = 0;                  ///< open(2)'s
  std::uint64_t losses = 0;       ///< State::losses at the time of opening
  std::uint64_t lock_losses = 0;  ///< Locks::losses() at the time of opening
  std::atomic<bool> wrote{false};
  std::atomic<std::uint64_t> told{0};  ///< fsync has told of losses up to this one
  /// Opening it changed what the kernel may have cached: bits were cleared by O_TRUNC; atime moved.
  bool cleared = false;
  bool atime_moved = false;
  std::atomic<std::uint64_t> read_ahead{0};  ///< end of the last sequential read
};

/// setattr's table: absent fields stay.
struct AttrChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::uint64_t> size;
  std::optional<std::int64_t> atime, mtime;  ///< ns
  bool atime_now = false, mtime_now = false;
  std::optional<std::int64_t> ctime;  ///< ns; only the kernel's write-back cache sends it
  bool kill_suid = false;             ///< FATTR_KILL_SUIDGID: who asks has no CAP_FSETID, or changes the owner
  /// The kernel left all the clearing of set-user-ID bits to us (FUSE_HANDLE_KILLPRIV_V2). Then a change of nothing is
  /// also a request to clear them: chown(2) to the owner there is, or the forerunner of a write or an allocation.
  bool we_kill = false;
};

/// Whether setuid and setgid go with a write (FUSE_WRITE_KILL_SUIDGID and its like): `who` has no CAP_FSETID.
struct Kill {
  bool suid_sgid = false;
  Caller who{};
};

struct Listed {
  std::string name;
  Ino ino = 0;
  std::uint8_t type = 0;      ///< DT_*
  std::uint64_t next = 0;     ///< the offset that continues behind this entry
  bool more_of_same = false;  ///< the next entry has the same offset: both go out in one reply, or neither
  Attr attr;                  ///< with `plus`; attr.mode 0: not at hand, send it without attributes
};

struct FsStats {
  std::uint64_t blocks = 0, free_blocks = 0;  ///< of 4 KiB
  std::uint64_t inodes = 0, free_inodes = 0;
};

/// Thread-safe.
class Vfs {
 public:
  Vfs(State& state, Fetcher& fetcher, ContentCache& cache, Committer& committer, WriteAccess& access,
      const Clock& clock, const VfsOptions& options);

  // Names. Each success that returns Found adds one to the kernel's lookup count.
  /// ENOENT, ENAMETOOLONG, ENOTDIR.
  /// `absent`: set to State::generation when the answer is a certain ENOENT.
  Result<Found> lookup(Ino parent, std::string_view name, std::uint64_t& absent);
  void forget(Ino ino, std::uint64_t count);
  /// EEXIST, ENAMETOOLONG, EDQUOT, ENOENT (the directory was removed).
  Result<Found> mknod(const Caller& who, Ino parent, std::string_view name, mode_t mode, dev_t rdev);
  Result<Found> mkdir(const Caller& who, Ino parent, std::string_view name, mode_t mode);
  Result<Found> symlink(const Caller& who, Ino parent, std::string_view name, std::string_view target);
  /// EMLINK, EPERM (a directory), EEXIST, ENOENT (it has lost its last name). What tmpfile() made gets its first name.
  Result<Found> link(Ino ino, Ino parent, std::string_view name);
  /// ENOENT, EISDIR; under sticky directories the kernel has checked.
  Status unlink(Ino parent, std::string_view name);
  /// ENOENT, ENOTDIR, ENOTEMPTY.
  Status rmdir(Ino parent, std::string_view name);
  /// renameat2(2) with RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT (a device 0:0 of `who` takes the old name's
  /// place); EINVAL for others and for a move into its own subtree.
  Status rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name, unsigned flags,
                const Caller& who = {});
  Result<std::string> readlink(Ino ino);

  // Attributes. `handle` may be null.
  Result<Found> getattr(Ino ino, const Handle* handle);
  Result<Found> setattr(const Caller& who, Ino ino, const AttrChange& change, Handle* handle);
  Result<FsStats> statfs();

  // Listing. Offsets: 0 the start, then whatever Listed::next says (persistent cookies).
  /// Up to about `limit` entries behind `offset`; empty at the end. With `plus`, attributes. Lookup counts are the
  /// caller's: remember() for each entry it really sent with attributes (not for "." and "..").
  Result<std::vector<Listed>> readdir(Ino dir, std::uint64_t offset, std::size_t limit, bool plus);
  void remember(Ino ino);

  // Files.
  /// ENXIO, EISDIR for writing a directory; O_TRUNC is done here, and clears what write() clears. Under cto it
  /// refreshes first (coherence hooks in).
  Result<std::unique_ptr<Handle>> open(Ino ino, int flags, const Kill& kill = {});
  struct Created {
    Found found;
    std::unique_ptr<Handle> handle;
  };
  Result<Created> create(const Caller& who, Ino parent, std::string_view name, mode_t mode, int flags);
  /// O_TMPFILE: an open file that never had a name; link() may give it one.
  Result<Created> tmpfile(const Caller& who, Ino parent, mode_t mode, int flags);
  /// Up to `size` bytes from `offset`, as pieces to be sent in order (null: `zeros` zero bytes).
  struct Piece {
    Bytes bytes;
    std::uint32_t from = 0;
    std::uint32_t size = 0;
  };
  /// `atime`: it moves (not under O_NOATIME).
  Result<std::vector<Piece>> read(Handle& handle, std::uint64_t offset, std::uint32_t size, bool atime = true);
  enum class WriteAs : std::uint8_t {
    call,    ///< at `offset`
    append,  ///< at the end of the file as it is here, whatever the kernel believes (O_APPEND)
    page,    ///< a mapped page written back: all of it or nothing, for nobody hears how much; capabilities stay
  };
  /// Writes `data`, or as much of it as there is room for; returns how much. EFBIG, EDQUOT: nothing fits. Clears what
  /// `kill` says, and file capabilities. `differs` is set when the kernel can not know what happened (an append
  /// went elsewhere than it thought, bits were cleared): its cache must be invalidated.
  Result<std::size_t> write(Handle& handle, std::uint64_t offset, std::string_view data, const Kill& kill,
                            bool& differs, WriteAs as = WriteAs::call);
  /// close(2)'s part: EIO when changes of this handle were lost; under cto waits for commit (and publish).
  Status flush(Handle& handle);
  void release(std::unique_ptr<Handle> handle);
  /// fsync/fdatasync: returns when everything accepted so far is committed. EIO also when changes of this file were
  /// lost since it was last told, whoever made them.
  Status fsync(Handle& handle);
  /// fsyncdir: the same for a directory.
  Status fsync_dir(Ino dir);
  /// fallocate(2): 0, FALLOC_FL_KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE]; else EOPNOTSUPP.
  Status fallocate(Handle& handle, int mode, std::uint64_t offset, std::uint64_t length);
  /// SEEK_DATA, SEEK_HOLE at a 4 KiB grain; ENXIO.
  Result<std::uint64_t> seek(Handle& handle, std::uint64_t offset, int whence);
  /// copy_file_range(2): whole chunks are shared, edges copied, holes stay holes. Returns how many bytes were copied.
  Result<std::uint64_t> copy_range(Handle& from, std::uint64_t from_offset, Handle& to, std::uint64_t to_offset,
                                   std::uint64_t length);

  // Locks (locks/locks.hpp; only with `locks`). `owner` is the kernel's number for whoever locks.
  struct LockWish {
    LockKind kind = LockKind::record;
    std::uint64_t owner = 0;
    LockRange range;
    LockType type = LockType::none;
  };
  /// EAGAIN it conflicts (with `wait`: park() it, or let go), EDEADLK.
  Status lock(const Handle& handle, const LockWish& wish, bool wait);
  /// A request that lock() could not grant, to be parked with Locks::park().
  std::shared_ptr<LockWaiter> lock_waiter(const Handle& handle, const LockWish& wish,
                                          std::function<void(const Status&)> done) const;
  /// F_GETLK.
  Result<std::optional<LockRange>> test_lock(const Handle& handle, const LockWish& wish);
  /// close(2) of a descriptor by `owner`: its record locks on the file go.
  void let_go(const Handle& handle, std::uint64_t owner);

  // Extended attributes (xattr(7)); names as they come (user., trusted., security., system.posix_acl_*).
  /// ENODATA.
  Result<std::string> getxattr(Ino ino, const std::string& name);
  /// XATTR_CREATE: EEXIST; XATTR_REPLACE: ENODATA; ENOSPC/E2BIG/ERANGE by xattr(7)'s limits; EOPNOTSUPP.
  /// `kill_sgid`: setting an access ACL clears setgid (who asks is not in the file's group).
  Status setxattr(Ino ino, const std::string& name, std::string_view value, int flags, bool kill_sgid = false);
  /// trusted.* only for who has CAP_SYS_ADMIN.
  Result<std::vector<std::string>> listxattr(const Caller& who, Ino ino);
  Status removexattr(Ino ino, const std::string& name);

  const VfsOptions& options() const { return options_; }

  /// Null: the kernel keeps the locks. Set once by session.
  Locks* locks = nullptr;

  /// Called before an open under cto, and by exec and locks (coherence/refresh); set once by session.
  std::function<Status()> refresh;
  /// Called after a commit under cto, to wait for its publication; set once by session.
  std::function<void()> wait_published;
  /// Asked for what a rare rule needs to know about a caller; without a Mutex held.
  std::function<Credentials(const Caller&)> credentials;

 private:
  friend class Operation;
  /// A hole where another file has one, at the end of this one too.
  Status copy_hole(Handle& to, std::uint64_t target, std::uint64_t bytes);

  State& state_;
  Fetcher& fetcher_;
  ContentCache& cache_;
  Committer& committer_;
  WriteAccess& access_;
  const Clock& clock_;
  const VfsOptions options_;
};

}  // namespace sboxfs
