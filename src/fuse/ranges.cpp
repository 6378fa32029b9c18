#include <algorithm>

#include "request.hpp"

namespace sboxfs::fuse {
namespace {

// Answered in steps of this size: the kernel asks again for the rest, and can be interrupted in between.
constexpr std::uint64_t kMostCopied = 64 << 20;

void fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* info) {
  serve(request, Kind::fallocate, [&](Vfs& vfs) {
    reply_status(request, vfs.fallocate(handle_of(info), mode, static_cast<std::uint64_t>(offset),
                                        static_cast<std::uint64_t>(length)));
  });
}

void lseek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  serve(request, Kind::lseek, [&](Vfs& vfs) {
    const Result<std::uint64_t> at = vfs.seek(handle_of(info), static_cast<std::uint64_t>(offset), whence);
    if (!at.ok()) {
      fuse_reply_err(request, at.code());
      return;
    }
    fuse_reply_lseek(request, static_cast<off_t>(*at));
  });
}

void copy_file_range(fuse_req_t request, fuse_ino_t, off_t from_offset, fuse_file_info* from, fuse_ino_t,
                     off_t to_offset, fuse_file_info* to, std::size_t length, int) {
  serve(request, Kind::copy_file_range, [&](Vfs& vfs) {
    const Result<std::uint64_t> copied =
        vfs.copy_range(handle_of(from), static_cast<std::uint64_t>(from_offset), handle_of(to),
                       static_cast<std::uint64_t>(to_offset), std::min<std::uint64_t>(length, kMostCopied));
    if (!copied.ok()) {
      fuse_reply_err(request, copied.code());
      return;
    }
    fuse_reply_write(request, *copied);
  });
}

}  // namespace

void add_range_operations(fuse_lowlevel_ops& table) {
  table.fallocate = fallocate;
  table.lseek = lseek;
  table.copy_file_range = copy_file_range;
}

}  // namespace sboxfs::fuse
