#include "request.hpp"

namespace sboxfs::fuse {
namespace {

/// xattr(7)'s convention: size 0 asks how long the value is.
void reply_value(fuse_req_t request, const std::string& value, std::size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

void setxattr(fuse_req_t request, fuse_ino_t ino, const char* name, const char* value, std::size_t size, int flags) {
  serve(request, Kind::setxattr, [&](Vfs& vfs) {
    reply_status(request, vfs.setxattr(ino, name, {value, size}, flags, worker().raw.acl_kill_sgid));
  });
}

void getxattr(fuse_req_t request, fuse_ino_t ino, const char* name, std::size_t size) {
  serve(request, Kind::getxattr, [&](Vfs& vfs) {
    const Result<std::string> value = vfs.getxattr(ino, name);
    if (!value.ok()) {
      fuse_reply_err(request, value.code());
      return;
    }
    reply_value(request, *value, size);
  });
}

void listxattr(fuse_req_t request, fuse_ino_t ino, std::size_t size) {
  serve(request, Kind::listxattr, [&](Vfs& vfs) {
    const Result<std::vector<std::string>> names = vfs.listxattr(caller(request), ino);
    if (!names.ok()) {
      fuse_reply_err(request, names.code());
      return;
    }
    std::string all;
    for (const std::string& name : *names) {
      all += name;
      all += '\0';
    }
    reply_value(request, all, size);
  });
}

void removexattr(fuse_req_t request, fuse_ino_t ino, const char* name) {
  serve(request, Kind::removexattr, [&](Vfs& vfs) { reply_status(request, vfs.removexattr(ino, name)); });
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& table) {
  table.setxattr = setxattr;
  table.getxattr = getxattr;
  table.listxattr = listxattr;
  table.removexattr = removexattr;
}

}  // namespace sboxfs::fuse
