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

/// Of an unlinked inode without handles and kernel lookups: lets it go (unpinned if its orphan row is committed).
void drop_if_unused(State& state, Ino ino) REQUIRES(state.mu);

/// Of an open inode without a name: it takes so many more (or fewer) blocks in State::held.
void hold(State& state, Inode& inode, std::int64_t blocks) REQUIRES(state.mu);

/// setuid and setgid cleared as write(2), truncate(2) and chown(2) do; security.capability goes. True when changed.
/// Call with xattrs() loaded when the inode has any.
bool kill_suid(Operation& op, Inode& inode) REQUIRES(op.state.mu);

}  // namespace sboxfs
