#include "raw.hpp"

#include <linux/fuse.h>

#include <cstring>

namespace sboxfs::fuse {
namespace {

template <class Body>
bool body_of(const fuse_buf& request, Body& body) {
  if (request.size < sizeof(fuse_in_header) + sizeof body) return false;
  std::memcpy(&body, static_cast<const char*>(request.mem) + sizeof(fuse_in_header), sizeof body);
  return true;
}

void shorten_setxattr(fuse_buf& request) {
  auto* header = static_cast<fuse_in_header*>(request.mem);
  char* body = static_cast<char*>(request.mem) + sizeof *header;
  constexpr std::size_t kCut = sizeof(fuse_setxattr_in) - FUSE_COMPAT_SETXATTR_IN_SIZE;
  const std::size_t rest = request.size - sizeof *header - sizeof(fuse_setxattr_in);
  std::memmove(body + FUSE_COMPAT_SETXATTR_IN_SIZE, body + sizeof(fuse_setxattr_in), rest);
  request.size -= kCut;
  header->len -= static_cast<std::uint32_t>(kCut);
}

}  // namespace

std::uint32_t raw_init_flags(std::uint32_t offered) {
  return offered & (std::uint32_t{FUSE_PARALLEL_DIROPS} | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT);
}

RawFlags take_raw_flags(fuse_buf& request, std::uint32_t agreed) {
  RawFlags flags;
  auto* header = static_cast<fuse_in_header*>(request.mem);
  switch (header->opcode) {
    case FUSE_WRITE: {
      fuse_write_in body{};
      flags.kill_suidgid = body_of(request, body) && (body.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
      break;
    }
    case FUSE_OPEN: {
      fuse_open_in body{};
      flags.kill_suidgid = body_of(request, body) && (body.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
      break;
    }
    case FUSE_SETATTR: {
      fuse_setattr_in body{};
      flags.kill_suidgid = body_of(request, body) && (body.valid & FATTR_KILL_SUIDGID) != 0;
      break;
    }
    case FUSE_SETXATTR: {
      fuse_setxattr_in body{};
      if ((agreed & FUSE_SETXATTR_EXT) == 0 || !body_of(request, body)) break;
      flags.acl_kill_sgid = (body.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
      shorten_setxattr(request);
      break;
    }
    case FUSE_TMPFILE:
      header->opcode = FUSE_CREATE;
      flags.tmpfile = true;
      break;
    default: break;
  }
  return flags;
}

}  // namespace sboxfs::fuse
