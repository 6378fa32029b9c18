#include "step.hpp"

#include <cstring>

#include "sboxfs/base/text.hpp"

namespace sboxfs::differential {
namespace {

const char* const kNames[] = {
    "open",   "close",    "mkdir",    "mknod",     "symlink",  "link",      "unlink",          "rmdir",       "rename",
    "chmod",  "chown",    "truncate", "utimensat", "setxattr", "getxattr",  "listxattr",       "removexattr", "stat",
    "access", "readlink", "readdir",  "read",      "write",    "fallocate", "copy_file_range", "lseek",       "fsync",
    "umask"};

std::string octal(unsigned value) {
  char text[16];
  std::snprintf(text, sizeof text, "0%o", value);
  return text;
}

std::string hex(const char* data, std::size_t size) {
  std::string out;
  char text[4];
  for (std::size_t i = 0; i < size; ++i) {
    std::snprintf(text, sizeof text, "%02x", static_cast<unsigned char>(data[i]));
    out += text;
  }
  return out;
}

std::string time_of(const Step& step, int i) { return cat(step.seconds[i], ".", step.nanoseconds[i]); }

std::string rest(const Step& step) {
  switch (step.op) {
    case Op::open: return cat(" flags ", octal(static_cast<unsigned>(step.flags)), " mode ", octal(step.mode));
    case Op::mkdir:
    case Op::mknod:
    case Op::chmod:
    case Op::umask: return cat(" mode ", octal(step.mode));
    case Op::chown: return cat(" ", static_cast<int>(step.uid), ":", static_cast<int>(step.gid));
    case Op::access: return cat(" ", step.flags);
    case Op::rename: return cat(" flags ", step.flags);
    case Op::truncate: return cat(" ", step.length);
    case Op::utimens: return cat(" atime ", time_of(step, 0), " mtime ", time_of(step, 1));
    case Op::setxattr: return cat(" ", step.name, " = ", hex(step.value, step.value_size), " flags ", step.flags);
    case Op::getxattr:
    case Op::removexattr: return cat(" ", step.name);
    case Op::read:
    case Op::write:
      return cat(" ", step.length, step.positioned ? cat(" at ", step.offset) : std::string(), " seed ", step.seed);
    case Op::fallocate: return cat(" mode ", step.flags, " ", step.offset, "+", step.length);
    case Op::copy_range: return cat(" ", step.offset, "+", step.length, " to ", step.to_offset);
    case Op::seek: return cat(" ", step.offset, " whence ", step.flags);
    default: return {};
  }
}

}  // namespace

std::string describe(const Step& step) {
  std::string out = cat("[", static_cast<int>(step.worker), "] ", kNames[static_cast<int>(step.op)]);
  if (step.slot != kNoSlot) out += cat(" file ", static_cast<int>(step.slot));
  if (step.other_slot != kNoSlot) out += cat(" file ", static_cast<int>(step.other_slot));
  if (step.a[0] != '\0' || step.slot == kNoSlot) out += cat(" \"", step.a, "\"");
  if (step.b[0] != '\0') out += cat(" \"", step.b, "\"");
  out += rest(step);
  if (!step.follow) out += " nofollow";
  if (step.padded) out += " padded";
  return out;
}

bool operator==(const Outcome& left, const Outcome& right) {
  return left.result == right.result && left.error == right.error && left.bytes == right.bytes &&
         left.hash == right.hash;
}

std::string describe(const Outcome& outcome) {
  std::string out = cat("result ", outcome.result);
  if (outcome.result < 0) out += cat(" (", std::strerror(outcome.error), ")");
  if (outcome.bytes > 0) out += cat(", ", outcome.bytes, " bytes, hash ", outcome.hash, ": ", outcome.start);
  return out;
}

std::uint64_t hash_of(const void* data, std::size_t size) {
  const auto* at = static_cast<const unsigned char*>(data);
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (std::size_t i = 0; i < size; ++i) hash = (hash ^ at[i]) * 0x100000001b3U;
  return hash;
}

void fill(char* to, std::size_t size, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
  for (std::size_t at = 0; at < size; at += sizeof state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(to + at, &state, std::min(sizeof state, size - at));
  }
}

}  // namespace sboxfs::differential
