#include "operation.hpp"

#include "handles.hpp"

namespace sboxfs {

Inode* Operation::inode(Ino ino) {
  Inode* inode = state.tree.find(ino);
  if (inode != nullptr && inode->attr_valid) return inode;
  need.kind = Need::Kind::inode;
  need.ino = ino;
  return nullptr;
}

Tree::Name Operation::name(Inode& dir, std::string_view name, std::uint64_t cookie) {
  const Tree::Name found = state.tree.find_name(dir, cookie, name);
  if (found.state == Tree::Name::State::unknown) {
    need.kind = Need::Kind::name;
    need.ino = dir.ino;
    need.cookie = cookie;
  }
  return found;
}

bool Operation::xattrs(Inode& inode) {
  if (inode.xattrs && inode.xattrs->loaded) return true;
  if ((inode.attr.flags & kHasXattrs) == 0) {
    Tree::xattrs(inode).loaded = true;
    return true;
  }
  need.kind = Need::Kind::xattrs;
  need.ino = inode.ino;
  return false;
}

bool Operation::any_name(Inode& dir, bool& any) {
  any = dir.dir->names > 0;
  if (any) return true;
  const std::optional<std::uint64_t> gap = dir.dir->loaded.first_gap(0);
  if (!gap || *gap > kLastCookie) return true;
  need.kind = Need::Kind::listing;
  need.ino = dir.ino;
  need.cookie = *gap;
  return false;
}

Found Operation::found(const Inode& inode) const {
  Found out{inode.ino, inode.attr, state.generation.load(std::memory_order_relaxed)};
  if (options.uid) out.attr.uid = *options.uid;
  if (options.gid) out.attr.gid = *options.gid;
  return out;
}

Found Operation::looked_up(Inode& inode) {
  ++inode.lookups;
  return found(inode);
}

Ino Operation::new_ino() {
  if (state.next_ino >= state.end_ino) {
    out_of_inos_ = true;
    return 0;
  }
  return state.next_ino++;
}

const Credentials* Operation::credentials(const Caller& who) {
  if (!known_) wants_ = &who;
  return known_ ? &*known_ : nullptr;
}

Status Operation::room_for(std::int64_t blocks, std::int64_t inodes) const {
  const Usage usage = state.usage;
  const auto over = [](std::uint64_t quota, std::uint64_t used, std::int64_t more) {
    return quota > 0 && more > 0 && used + static_cast<std::uint64_t>(more) > quota;
  };
  if (over(usage.quota_blocks, usage.used_blocks + state.held.used_blocks, blocks))
    return fail(EDQUOT, "the sandbox's quota of bytes is used up");
  if (over(usage.quota_inodes, usage.used_inodes + state.held.used_inodes, inodes))
    return fail(EDQUOT, "the sandbox's quota of inodes is used up");
  return {};
}

void Operation::charge(std::int64_t blocks, std::int64_t inodes) {
  state.usage.add(blocks, inodes);
  state.journal.use(blocks, inodes);
}

void Operation::add_blocks(Inode& inode, std::int64_t blocks) {
  inode.attr.blocks += static_cast<std::uint64_t>(blocks);
  if (!inode.unlinked) {
    charge(blocks, 0);
  } else {
    state.hold(inode, blocks);
  }
}

Status check_name(std::string_view name) {
  if (name.size() > kMaxNameBytes) return fail(ENAMETOOLONG);
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) return fail(EINVAL);
  return {};
}

}  // namespace sboxfs
