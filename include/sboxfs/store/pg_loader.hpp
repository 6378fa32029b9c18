// ports/loader.hpp over Postgres: one statement a load; its own snapshot also gives the sandbox's stamp.
#pragma once

#include "sboxfs/ports/loader.hpp"
#include "sboxfs/store/context.hpp"

namespace sboxfs {

/// Thread-safe.
class PgLoader final : public Loader {
 public:
  explicit PgLoader(StoreContext context) : context_(std::move(context)) {}

  Result<SandboxFacts> facts() override;
  Result<LoadedInode> inode(Ino ino) override;
  Result<LoadedName> name(Ino parent, std::uint64_t cookie) override;
  Result<LoadedDir> directory(Ino dir, std::uint64_t from, std::uint32_t limit) override;
  Result<LoadedTree> directories(std::span<const Ino> dirs, std::uint32_t dir_limit, std::uint32_t limit) override;
  Result<LoadedChunks> chunks(Ino ino, std::uint32_t first, std::uint32_t limit) override;
  Result<std::vector<std::string>> blobs(std::span<const Hash> hashes) override;
  Result<LoadedContents> contents(std::span<const Ino> files, std::uint64_t max_bytes) override;
  Result<LoadedXattrs> xattrs(Ino ino) override;
  Result<LoadedChanges> changes(Version after) override;

 private:
  const StoreContext context_;
};

}  // namespace sboxfs
