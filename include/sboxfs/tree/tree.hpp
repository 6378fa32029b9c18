// All inodes a session has in memory.
// Invariants: an inode record that is dirty, open or unlinked-but-known is never dropped; a directory item whose
// inode is not in memory is normal (its attributes are loaded on demand); nodeid = ino, so the kernel may know inodes
// that are not here: their lookup counts are kept aside.
// Thread rules: guarded by State::mu. References stay valid until the inode is erased.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sboxfs/model/delta.hpp"
#include "sboxfs/ports/loader.hpp"
#include "sboxfs/tree/inode.hpp"

namespace sboxfs {

class Tree {
 public:
  explicit Tree(const NameKey& key) : key_(key) {}

  std::uint64_t cookie(std::string_view name) const { return name_cookie(key_, name); }

  /// The record, or null. Marks it used.
  Inode* find(Ino ino);
  /// The record with valid attributes, or null when it must be loaded first.
  Inode* find_loaded(Ino ino);
  /// The record, made empty (attr_valid false) when it was not there.
  Inode& obtain(Ino ino);
  /// The record without marking it used, or null.
  Inode* peek(Ino ino);
  /// A file's contents part and an inode's xattrs part, made empty when not there yet.
  static FileNode& file(Inode& inode);
  static XattrNode& xattrs(Inode& inode);
  /// Forgets a record (its parts must be clean and it must not be open); the kernel's lookup count is kept aside.
  void erase(Ino ino);

  /// A name in a directory whose record is in memory.
  struct Name {
    enum class State { unknown, absent, present };
    State state = State::unknown;  ///< unknown: load it
    DirItem* item = nullptr;       ///< present: the item; absent: its tombstone, or null
  };
  Name find_name(Inode& dir, std::uint64_t cookie, std::string_view name);
  /// Makes `name` point to `ino` (replacing item or tombstone); returns its item. The caller marks it dirty.
  DirItem& set_name(Inode& dir, std::uint64_t cookie, std::string_view name, Ino ino, std::uint8_t type);
  /// Turns the item into a tombstone. The caller marks it dirty.
  void remove_name(Inode& dir, DirItem& item);
  /// The item (or tombstone) with this name, or null; looks nowhere else.
  static DirItem* item(Inode& dir, std::uint64_t cookie, std::string_view name);
  /// Erases a tombstone that is clean.
  void erase_tombstone(Inode& dir, std::uint64_t cookie, std::string_view name);

  /// The kernel's lookup count, also of inodes that are not in memory.
  void remember(Ino ino, std::uint64_t count);
  /// Subtracts; returns what is left.
  std::uint64_t forget(Ino ino, std::uint64_t count);
  std::uint64_t lookups(Ino ino) const;

  /// Installs rows that the load rule admitted. Dirty parts stay as they are.
  void install(const InodeRecord& record);
  void install(const LoadedDir& page, std::uint64_t from);
  void install_name(Ino parent, std::uint64_t cookie, const LoadedName& loaded);
  void install(Ino ino, std::uint32_t first, std::uint32_t count, const LoadedChunks& loaded);
  void install(Ino ino, const LoadedXattrs& loaded);

  /// Drops exactly what a foreign delta names (coherence: memory first, kernel second). Parts that are dirty stay.
  /// Returns the open inodes it removed (kChangedGone): they must be pinned before `seen` is stored.
  std::vector<Ino> drop(const Delta& delta);
  /// One name of it, and one inode's attributes (an open inode that is gone counts as unlinked from then on).
  void drop_name(const NameChange& change);
  void drop_attr(const InodeChange& change);
  /// All that is in memory, as a delta: what the kernel may have to forget when everything is dropped.
  Delta everything() const;
  /// Drops everything, dirty parts too; open and kernel-known inodes stay as unloaded records with their counts.
  void drop_all();

  /// Drops clean, closed records until about `limit` bytes are left; returns how many records went.
  std::size_t evict(std::size_t limit);
  /// About how many bytes the tree takes.
  std::size_t bytes() const { return bytes_; }
  std::size_t size() const { return inodes_.size(); }

  /// All records, for the journal and for tests.
  std::unordered_map<Ino, Inode>& inodes() { return inodes_; }

 private:
  void drop_listing(Inode& inode);
  void add_item(Inode& dir, const Dirent& dirent);
  void erase_clean(Inode& dir, std::uint64_t from, std::uint64_t to);

  NameKey key_;
  std::unordered_map<Ino, Inode> inodes_;
  std::unordered_map<Ino, std::uint64_t> aside_;  // lookup counts of inodes that are not in memory
  std::size_t bytes_ = 0;
  Ino hand_ = 0;
};

}  // namespace sboxfs
