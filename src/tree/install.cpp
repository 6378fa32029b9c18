// Rows that were loaded, put into memory. What is dirty is newer than any row and stays.
#include "sboxfs/tree/tree.hpp"

namespace sboxfs {

void Tree::install(const InodeRecord& record) {
  Inode& inode = obtain(record.ino);
  inode.in_store = true;
  if (inode.dirty != 0) return;
  inode.attr = record.attr;
  inode.attr_valid = true;
  inode.unlinked = record.attr.nlink == 0;
  if (inode.is_dir()) {
    inode.parent = record.parent;
    if (!inode.dir) inode.dir = std::make_unique<DirNode>();
  }
  if (!record.target.empty()) inode.target = std::make_unique<std::string>(record.target);
}

void Tree::install(const LoadedDir& page, std::uint64_t from) {
  if (!page.dir) return;
  install(*page.dir);
  const Ino dir_ino = page.dir->ino;
  for (const Entry& entry : page.entries) {
    install(entry.inode);
    Inode& child = obtain(entry.inode.ino);
    if (!child.is_dir()) child.parent = dir_ino;
  }
  Inode& dir = obtain(dir_ino);
  if (!dir.dir) return;  // dirty, and no directory any more
  erase_clean(dir, from, page.complete_to);
  for (const Entry& entry : page.entries) add_item(dir, entry.dirent);
  dir.dir->loaded.add(from, page.complete_to);
}

void Tree::install_name(Ino parent, std::uint64_t cookie, const LoadedName& loaded) {
  for (const Entry& entry : loaded.entries) {
    install(entry.inode);
    Inode& child = obtain(entry.inode.ino);
    if (!child.is_dir()) child.parent = parent;
  }
  Inode* dir = peek(parent);
  if (dir == nullptr || !dir->dir) return;
  erase_clean(*dir, cookie, cookie);
  for (const Entry& entry : loaded.entries) add_item(*dir, entry.dirent);
  dir->dir->loaded.add(cookie, cookie);
}

void Tree::install(Ino ino, std::uint32_t first, std::uint32_t count, const LoadedChunks& loaded) {
  FileNode& node = file(obtain(ino));
  for (const Chunk& row : loaded.chunks) {
    if (node.loaded.contains(row.idx)) continue;  // known already, or cut off since: memory is not older
    ChunkNode& chunk = node.chunks[row.idx];
    if (chunk.dirty != 0 || chunk.in_flight != 0) continue;
    chunk.blob = row.blob;
    chunk.mask = row.mask;
    chunk.patches = row.patches;
  }
  if (count > 0) node.loaded.add(first, std::uint64_t{first} + count - 1);
  if (!node.ranges_loaded && node.ranges_dirty == 0) {
    node.ranges = loaded.ranges;
    node.ranges_loaded = true;
  }
}

void Tree::install(Ino ino, const LoadedXattrs& loaded) {
  XattrNode& node = xattrs(obtain(ino));
  for (const Xattr& row : loaded.xattrs) node.items.try_emplace(row.name, XattrItem{row.value, false, 0});
  node.loaded = true;
}

}  // namespace sboxfs
