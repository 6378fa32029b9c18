// The columns of an inode and of a directory entry, as the loads select them and read them back.
#pragma once

#include "sboxfs/model/attr.hpp"
#include "sboxfs/pg/rows.hpp"
#include "sboxfs/ports/loader.hpp"

namespace sboxfs::store_detail {

/// Of the table alias i; kInodeColumns of them.
#define SBOXFS_INODE_COLUMNS                                                                                       \
  "i.ino, i.mode, i.uid, i.gid, i.nlink, i.size, i.blocks, i.rdev, i.flags, i.atime, i.mtime, i.ctime, i.parent, " \
  "i.target"
constexpr int kInodeColumns = 14;

/// Reads them from column `first` on; NULL parent and target read as none.
inline InodeRecord read_inode(const PgRows& rows, int row, int first) {
  InodeRecord out;
  out.ino = rows.uint8(row, first);
  out.attr.mode = rows.uint4(row, first + 1);
  out.attr.uid = rows.uint4(row, first + 2);
  out.attr.gid = rows.uint4(row, first + 3);
  out.attr.nlink = rows.uint4(row, first + 4);
  out.attr.size = rows.uint8(row, first + 5);
  out.attr.blocks = rows.uint8(row, first + 6);
  out.attr.rdev = rows.uint4(row, first + 7);
  out.attr.flags = rows.uint4(row, first + 8);
  out.attr.atime = rows.int8(row, first + 9);
  out.attr.mtime = rows.int8(row, first + 10);
  out.attr.ctime = rows.int8(row, first + 11);
  out.parent = rows.uint8(row, first + 12);
  out.target = rows.bytes(row, first + 13);
  return out;
}

/// Of the table alias d, before an inode's columns; kDirentColumns of them.
#define SBOXFS_DIRENT_COLUMNS "d.parent, d.cookie, d.name, d.type"
constexpr int kDirentColumns = 4;

inline Entry read_entry(const PgRows& rows, int row, int first) {
  Entry out;
  out.dirent.parent = rows.uint8(row, first);
  out.dirent.cookie = rows.uint8(row, first + 1);
  out.dirent.name = rows.bytes(row, first + 2);
  out.dirent.type = static_cast<std::uint8_t>(rows.int4(row, first + 3));
  out.inode = read_inode(rows, row, first + kDirentColumns);
  out.dirent.ino = out.inode.ino;
  return out;
}

/// Joins the inode with that number as i; $1 tenant, $2 sandbox. LATERAL ... OFFSET 0 makes the planner look each one
/// up by its whole key: without statistics (a fresh database) it would walk all inodes of the sandbox instead.
#define SBOXFS_INODE_OF(ino)                                                                                  \
  "CROSS JOIN LATERAL (SELECT * FROM sboxfs.inodes n WHERE n.tenant = $1 AND n.sandbox = $2 AND n.ino = " ino \
  " OFFSET 0) i "

inline Hash read_hash(std::string_view bytes) {
  Hash out;
  if (bytes.size() == out.bytes.size()) std::memcpy(out.bytes.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace sboxfs::store_detail
