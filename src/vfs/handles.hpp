// Open files and file sizes: what the operations on names and attributes need from those on data.
#pragma once

#include "operation.hpp"

namespace sboxfs {

/// A handle on an inode that is in memory: counts the open. Under State::mu.
std::unique_ptr<Handle> open_handle(Operation& op, Inode& inode, int flags) REQUIRES(op.state.mu);

/// The handle goes: its count, and the inode if that was the last use of it. Under State::mu.
void close_handle(State& state, const Handle& handle) REQUIRES(state.mu);

/// Sets a regular file's size inside a changing attempt: cuts chunks, zeroes the edge, keeps blocks, ranges, times and
/// marks right. Sets op.need when something must be loaded first (then nothing has changed). EFBIG, EDQUOT.
Status truncate_inode(Operation& op, Inode& inode, std::uint64_t size) REQUIRES(op.state.mu);

/// Before a file is made shorter: a cut of more than VfsOptions::cut_bytes of blocks is made in steps, each committed
/// by itself, from the end, until the rest is no more than that. Blocks; called outside of an attempt. Errors: as
/// Operation::changing and Committer::sync.
Status cut_ahead(Operation& op, Ino ino, std::uint64_t size);

/// Of an unlinked inode without handles and kernel lookups: lets it go (unpinned if its orphan row is committed).
void drop_if_unused(State& state, Ino ino) REQUIRES(state.mu);

/// The kernel has forgotten so many lookups: the inode may go with the last.
void forget_lookups(State& state, Ino ino, std::uint64_t count) REQUIRES(state.mu);

/// Before a change that builds on what is there (a write, another name, another entry of a directory): EIO, once, when
/// accepted changes of the inode were lost and no call has told of that. So an empty file is not renamed over a whole
/// one, and a log has no hole, unless somebody has heard of the loss.
Status none_lost(Operation& op, const Inode& inode) REQUIRES(op.state.mu);

/// Reading moves atime, by the mount's rule, in memory only: it rides in a batch that is made anyway. True when it
/// moved.
bool touch_atime(Operation& op, Inode& inode) REQUIRES(op.state.mu);

/// What clearing setuid and setgid would leave of the mode, by write(2)'s, truncate(2)'s and chown(2)'s rule: setgid
/// without group execute (it once meant mandatory locking) only goes when `who` is not in the file's group. Nothing
/// when `who` must be asked about first: the attempt returns missing().
std::optional<std::uint32_t> without_suid(Operation& op, const Inode& inode, const Caller& who) REQUIRES(op.state.mu);

/// File capabilities go with every change of contents or owner, whoever makes it. xattrs() must be loaded. True when
/// there were any.
bool drop_capability(Operation& op, Inode& inode) REQUIRES(op.state.mu);

}  // namespace sboxfs
