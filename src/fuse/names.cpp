#include "request.hpp"

namespace sboxfs::fuse {
namespace {

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  serve(request, Kind::lookup, [&](Vfs& vfs) {
    std::uint64_t absent = 0;
    const Result<Found> found = vfs.lookup(parent, name, absent);
    const double keep = found.code() == ENOENT ? keep_for(context(request).state, absent) : 0;
    if (found.code() != ENOENT || keep == 0) return reply_entry(request, found);
    fuse_entry_param nothing{};  // inode 0: the kernel remembers that there is none
    nothing.entry_timeout = keep;
    fuse_reply_entry(request, &nothing);
  });
}

void forget(fuse_req_t request, fuse_ino_t ino, std::uint64_t count) {
  serve(request, Kind::forget, [&](Vfs& vfs) {
    vfs.forget(ino, count);
    fuse_reply_none(request);
  });
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  serve(request, Kind::forget, [&](Vfs& vfs) {
    for (std::size_t i = 0; i < count; ++i) vfs.forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(request);
  });
}

void readlink(fuse_req_t request, fuse_ino_t ino) {
  serve(request, Kind::readlink, [&](Vfs& vfs) {
    const Result<std::string> target = vfs.readlink(ino);
    if (!target.ok()) {
      fuse_reply_err(request, target.code());
      return;
    }
    fuse_reply_readlink(request, target->c_str());
  });
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  serve(request, Kind::mknod,
        [&](Vfs& vfs) { reply_entry(request, vfs.mknod(caller(request), parent, name, mode, rdev)); });
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  serve(request, Kind::mkdir, [&](Vfs& vfs) { reply_entry(request, vfs.mkdir(caller(request), parent, name, mode)); });
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  serve(request, Kind::symlink,
        [&](Vfs& vfs) { reply_entry(request, vfs.symlink(caller(request), parent, name, target)); });
}

void link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
  serve(request, Kind::link, [&](Vfs& vfs) { reply_entry(request, vfs.link(ino, parent, name)); });
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  serve(request, Kind::unlink, [&](Vfs& vfs) { reply_status(request, vfs.unlink(parent, name)); });
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  serve(request, Kind::rmdir, [&](Vfs& vfs) { reply_status(request, vfs.rmdir(parent, name)); });
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent, const char* new_name,
            unsigned flags) {
  serve(request, Kind::rename, [&](Vfs& vfs) {
    reply_status(request, vfs.rename(parent, name, new_parent, new_name, flags, caller(request)));
  });
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& table) {
  table.lookup = lookup;
  table.forget = forget;
  table.forget_multi = forget_multi;
  table.readlink = readlink;
  table.mknod = mknod;
  table.mkdir = mkdir;
  table.symlink = symlink;
  table.link = link;
  table.unlink = unlink;
  table.rmdir = rmdir;
  table.rename = rename;
}

}  // namespace sboxfs::fuse
