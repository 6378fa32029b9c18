// The numbers everything is named by.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "sboxfs/base/result.hpp"

namespace sboxfs {

/// An inode number: per sandbox, never reused; equal to the FUSE node id.
using Ino = std::uint64_t;
constexpr Ino kRootIno = 1;

/// A sandbox's version: +1 in every transaction that changes the tree. A new sandbox has version 1.
using Version = std::int64_t;
/// The lease's fencing number: +1 whenever the lease changes hands, and at destroy.
using Epoch = std::int64_t;

/// 16 bytes, written as a UUID (RFC 9562). Names sandboxes, sessions and batches.
struct Uuid {
  std::array<unsigned char, 16> bytes{};
  bool operator==(const Uuid&) const = default;
  auto operator<=>(const Uuid&) const = default;  // NOLINT(modernize-use-nullptr)
  bool empty() const { return *this == Uuid{}; }

  /// A random (version 4) UUID.
  static Uuid random();
  /// Parses the usual 36 characters, either case; EINVAL otherwise.
  static Result<Uuid> parse(std::string_view text);
  /// 36 lower-case characters.
  std::string text() const;
};

using SandboxId = Uuid;
using SessionId = Uuid;
using BatchId = Uuid;

/// A version together with the batch that made it: equal numbers of different histories differ here.
struct Stamp {
  Version version = 0;
  BatchId batch;
  bool operator==(const Stamp&) const = default;
};

}  // namespace sboxfs
