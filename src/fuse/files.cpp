#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "request.hpp"

namespace sboxfs::fuse {
namespace {

const std::string kZeros(kChunkSize, '\0');

void fill(const Context& ctx, fuse_file_info& info, std::unique_ptr<Handle> handle) {
  info.fh = reinterpret_cast<std::uint64_t>(handle.release());
  // What the kernel has of the file stays valid: the watcher takes back exactly what others change.
  info.keep_cache = ctx.state.cacheable ? 1 : 0;
}

void open(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  serve(request, Kind::open, [&](Vfs& vfs) {
    Result<std::unique_ptr<Handle>> handle = vfs.open(ino, info->flags, kill_of(request));
    if (!handle.ok()) {
      fuse_reply_err(request, handle.code());
      return;
    }
    Context& ctx = context(request);
    const bool cleared = (*handle)->cleared;
    // Attributes alone never wait for a lock that OPEN holds.
    if ((*handle)->atime_moved && ctx.atime_moved) ctx.atime_moved(ino);
    fill(ctx, *info, std::move(*handle));
    if (fuse_reply_open(request, info) == -ENOENT) vfs.release(std::unique_ptr<Handle>(&handle_of(info)));
    if (cleared && ctx.end_differs) ctx.end_differs(ino);
  });
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
  serve(request, Kind::create, [&](Vfs& vfs) {
    Result<Vfs::Created> created = worker().raw.tmpfile ? vfs.tmpfile(caller(request), parent, mode, info->flags)
                                                        : vfs.create(caller(request), parent, name, mode, info->flags);
    if (!created.ok()) {
      fuse_reply_err(request, created.code());
      return;
    }
    Context& ctx = context(request);
    fill(ctx, *info, std::move(created->handle));
    const fuse_entry_param entry = entry_of(ctx.state, created->found);
    if (fuse_reply_create(request, &entry, info) != -ENOENT) return;
    vfs.release(std::unique_ptr<Handle>(&handle_of(info)));
    vfs.forget(created->found.ino, 1);
  });
}

void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
  serve(request, Kind::read, [&](Vfs& vfs) {
    // The flags are those of now, not of open(2): fcntl(2) changes O_NOATIME and O_APPEND.
    const Result<std::vector<Vfs::Piece>> pieces =
        vfs.read(handle_of(info), static_cast<std::uint64_t>(offset), static_cast<std::uint32_t>(size),
                 (info->flags & O_NOATIME) == 0);
    if (!pieces.ok()) {
      fuse_reply_err(request, pieces.code());
      return;
    }
    std::vector<iovec> parts;
    parts.reserve(pieces->size());
    for (const Vfs::Piece& piece : *pieces) {
      const char* from = piece.bytes ? piece.bytes->data() + piece.from : kZeros.data();
      parts.push_back({const_cast<char*>(from), piece.size});
    }
    fuse_reply_iov(request, parts.data(), static_cast<int>(parts.size()));
  });
}

/// Pages come through any handle that is mapped, whatever its flags.
Vfs::WriteAs write_as(const fuse_file_info& info) {
  if (info.writepage != 0) return Vfs::WriteAs::page;
  return (info.flags & O_APPEND) != 0 ? Vfs::WriteAs::append : Vfs::WriteAs::call;
}

void write(fuse_req_t request, fuse_ino_t ino, const char* data, std::size_t size, off_t offset, fuse_file_info* info) {
  serve(request, Kind::write, [&](Vfs& vfs) {
    bool differs = false;
    const Result<std::size_t> written = vfs.write(handle_of(info), static_cast<std::uint64_t>(offset), {data, size},
                                                  kill_of(request), differs, write_as(*info));
    if (!written.ok()) {
      fuse_reply_err(request, written.code());
      return;
    }
    Context& ctx = context(request);
    fuse_reply_write(request, *written);
    if (differs && ctx.end_differs) ctx.end_differs(ino);
  });
}

void flush(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  serve(request, Kind::flush, [&](Vfs& vfs) {
    const Status flushed = vfs.flush(handle_of(info));
    vfs.let_go(handle_of(info), info->lock_owner);
    reply_status(request, flushed);
  });
}

void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  serve(request, Kind::release, [&](Vfs& vfs) {
    vfs.release(std::unique_ptr<Handle>(&handle_of(info)));
    fuse_reply_err(request, 0);
  });
}

void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info* info) {
  serve(request, Kind::fsync, [&](Vfs& vfs) { reply_status(request, vfs.fsync(handle_of(info))); });
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& table) {
  table.open = open;
  table.create = create;
  table.read = read;
  table.write = write;
  table.flush = flush;
  table.release = release;
  table.fsync = fsync;
}

}  // namespace sboxfs::fuse
