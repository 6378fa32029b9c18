// A tenant with an empty sandbox of the test's own in the program's Postgres.
#pragma once

#include <memory>
#include <string>

#include "postgres_fixture.hpp"
#include "sboxfs/pg/pool.hpp"
#include "sboxfs/store/admin.hpp"
#include "sboxfs/store/pg_lease_store.hpp"
#include "sboxfs/store/pg_loader.hpp"
#include "sboxfs/store/pg_sink.hpp"

namespace sboxfs::test {

PgOptions admin_options();
/// init_store, then open_tenant; throws when one fails.
std::unique_ptr<PgPool> open_test_tenant(const std::string& tenant, unsigned connections = 8);

inline constexpr std::int64_t kLease = 10 * kSecondNs;

class StoreFixture {
 public:
  explicit StoreFixture(const std::string& tenant_name = "default");

  std::string tenant;
  std::unique_ptr<PgPool> pool;
  std::string name;
  SandboxId id;
  StoreContext context;
  PgLoader loader;
  PgSink sink;
  PgLeaseStore lease;
  CommitTerms terms;

  /// Another session of the sandbox.
  StoreContext other_session() const;
  /// Takes the lease; `terms` then fit the next commit.
  void take_lease();
  /// Commits under `terms`, which then fit the next one. Fails the test unless it is committed.
  void commit(Batch batch);
};

/// A regular file's row.
InodeRecord file(Ino ino, std::uint64_t size = 0);
Dirent entry(Ino parent, std::uint64_t cookie, const std::string& name, Ino ino);
Batch batch_of(std::vector<InodeRecord> inodes, std::vector<Dirent> dirents = {});
ChunkPut chunk(Ino ino, std::uint32_t idx, const std::string& data);

}  // namespace sboxfs::test
