#include "sboxfs/tree/tree.hpp"

namespace sboxfs {
namespace {

// Rough costs of a record, for the metadata cache's limit; measured with malloc's overhead in mind.
constexpr std::size_t kInodeBytes = sizeof(Inode) + 32;
constexpr std::size_t kItemBytes = sizeof(DirItem) + 56;

}  // namespace

Inode* Tree::peek(Ino ino) {
  const auto at = inodes_.find(ino);
  return at == inodes_.end() ? nullptr : &at->second;
}

Inode* Tree::find(Ino ino) {
  Inode* inode = peek(ino);
  if (inode != nullptr) inode->touched = true;
  return inode;
}

Inode* Tree::find_loaded(Ino ino) {
  Inode* inode = find(ino);
  return inode != nullptr && inode->attr_valid ? inode : nullptr;
}

Inode& Tree::obtain(Ino ino) {
  const auto [at, added] = inodes_.try_emplace(ino, ino);
  if (added) {
    bytes_ += kInodeBytes;
    if (const auto aside = aside_.find(ino); aside != aside_.end()) {
      at->second.lookups = aside->second;
      aside_.erase(aside);
    }
  }
  at->second.touched = true;
  return at->second;
}

FileNode& Tree::file(Inode& inode) {
  if (!inode.file) inode.file = std::make_unique<FileNode>();
  return *inode.file;
}

XattrNode& Tree::xattrs(Inode& inode) {
  if (!inode.xattrs) inode.xattrs = std::make_unique<XattrNode>();
  return *inode.xattrs;
}

void Tree::erase(Ino ino) {
  const auto at = inodes_.find(ino);
  if (at == inodes_.end()) return;
  if (at->second.lookups > 0) aside_[ino] = at->second.lookups;
  bytes_ -= kInodeBytes;
  drop_listing(at->second);
  inodes_.erase(at);
}

void Tree::drop_listing(Inode& inode) {
  if (inode.dir) bytes_ -= inode.dir->items.size() * kItemBytes;
  inode.dir.reset();
}

DirItem* Tree::item(Inode& dir, std::uint64_t cookie, std::string_view name) {
  if (!dir.dir) return nullptr;
  const auto [first, last] = dir.dir->items.equal_range(cookie);
  for (auto at = first; at != last; ++at)
    if (at->second.name == name) return &at->second;
  return nullptr;
}

Tree::Name Tree::find_name(Inode& dir, std::uint64_t cookie, std::string_view name) {
  DirItem* found = item(dir, cookie, name);
  if (found != nullptr) return {found->ino != 0 ? Name::State::present : Name::State::absent, found};
  if (dir.dir && dir.dir->loaded.contains(cookie)) return {Name::State::absent, nullptr};
  return {};
}

DirItem& Tree::set_name(Inode& dir, std::uint64_t cookie, std::string_view name, Ino ino, std::uint8_t type) {
  if (!dir.dir) dir.dir = std::make_unique<DirNode>();
  DirItem* known = item(dir, cookie, name);
  if (known == nullptr) {
    known = &dir.dir->items.emplace(cookie, DirItem{std::string(name), 0, 0, 0, false})->second;
    bytes_ += kItemBytes;
  }
  if (known->ino == 0) ++dir.dir->names;
  known->ino = ino;
  known->type = type;
  return *known;
}

void Tree::remove_name(Inode& dir, DirItem& item) {
  if (item.ino != 0) --dir.dir->names;
  item.ino = 0;
}

void Tree::erase_tombstone(Inode& dir, std::uint64_t cookie, std::string_view name) {
  if (!dir.dir) return;
  const auto [first, last] = dir.dir->items.equal_range(cookie);
  for (auto at = first; at != last; ++at) {
    if (at->second.name != name || at->second.ino != 0 || at->second.dirty != 0) continue;
    dir.dir->items.erase(at);
    bytes_ -= kItemBytes;
    return;
  }
}

void Tree::remember(Ino ino, std::uint64_t count) {
  if (Inode* inode = peek(ino)) {
    inode->lookups += count;
  } else {
    aside_[ino] += count;
  }
}

std::uint64_t Tree::forget(Ino ino, std::uint64_t count) {
  if (Inode* inode = peek(ino)) {
    inode->lookups -= count < inode->lookups ? count : inode->lookups;
    return inode->lookups;
  }
  const auto at = aside_.find(ino);
  if (at == aside_.end()) return 0;
  if (at->second > count) return at->second -= count;
  aside_.erase(at);
  return 0;
}

std::uint64_t Tree::lookups(Ino ino) const {
  if (const auto at = inodes_.find(ino); at != inodes_.end()) return at->second.lookups;
  const auto at = aside_.find(ino);
  return at == aside_.end() ? 0 : at->second;
}

std::size_t Tree::evict(std::size_t limit) {
  std::size_t dropped = 0;
  auto at = inodes_.find(hand_);
  for (std::size_t steps = inodes_.size() * 2; steps > 0 && bytes_ > limit && !inodes_.empty(); --steps) {
    if (at == inodes_.end()) at = inodes_.begin();
    Inode& inode = at->second;
    const bool idle = inode.pins == 0 && inode.opens == 0 && !inode.unlinked && inode.ino != kRootIno;
    if (!idle || inode.touched) {
      inode.touched = false;
      ++at;
      continue;
    }
    const Ino victim = inode.ino;
    ++at;
    const Ino next = at == inodes_.end() ? 0 : at->first;
    erase(victim);
    at = next == 0 ? inodes_.end() : inodes_.find(next);
    ++dropped;
  }
  hand_ = at == inodes_.end() ? 0 : at->first;
  return dropped;
}

// The items of a directory that loads put in are accounted here, so that all of bytes_ is in this file.
void Tree::add_item(Inode& dir, const Dirent& dirent) {
  if (DirItem* known = item(dir, dirent.cookie, dirent.name)) {
    known->in_store = true;
    return;
  }
  dir.dir->items.emplace(dirent.cookie, DirItem{dirent.name, dirent.ino, 0, dirent.type, true});
  ++dir.dir->names;
  bytes_ += kItemBytes;
}

void Tree::erase_clean(Inode& dir, std::uint64_t from, std::uint64_t to) {
  auto& items = dir.dir->items;
  for (auto at = items.lower_bound(from); at != items.end() && at->first <= to;) {
    if (at->second.dirty != 0) {
      ++at;
      continue;
    }
    if (at->second.ino != 0) --dir.dir->names;
    at = items.erase(at);
    bytes_ -= kItemBytes;
  }
}

}  // namespace sboxfs
