#include "store_fixture.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

namespace sboxfs::test {

PgOptions admin_options() {
  PgOptions out;
  out.conninfo = PostgresFixture::shared().conninfo();
  return out;
}

std::unique_ptr<PgPool> open_test_tenant(const std::string& tenant, unsigned connections) {
  InitRequest request;
  request.admin = admin_options();
  request.tenant = tenant;
  if (const auto done = init_store(request); !done.ok()) throw std::runtime_error(done.error().what);
  PgOptions options = admin_options();
  options.max_connections = connections;
  auto pool = open_tenant(options, tenant);
  if (!pool.ok()) throw std::runtime_error(pool.error().what);
  return std::move(pool).value();
}

namespace {
SandboxId create(PgPool& pool, const std::string& tenant, const std::string& name) {
  CreateRequest request;
  request.name = name;
  request.uid = 1000;
  request.gid = 0xfffffffe;
  auto id = create_sandbox(pool, tenant, request);
  if (!id.ok()) throw std::runtime_error(id.error().what);
  return id.value();
}
}  // namespace

StoreFixture::StoreFixture(const std::string& tenant_name)
    : tenant(tenant_name),
      pool(open_test_tenant(tenant)),
      name("s" + Uuid::random().text()),
      id(create(*pool, tenant, name)),
      context{pool.get(), tenant, id, Uuid::random()},
      loader(context),
      sink(context),
      lease(context) {}

StoreContext StoreFixture::other_session() const {
  StoreContext out = context;
  out.session = Uuid::random();
  return out;
}

void StoreFixture::take_lease() {
  const auto answer = lease.acquire(kLease, std::nullopt);
  REQUIRE(answer.ok());
  REQUIRE(answer->grant);
  terms.epoch = answer->grant->epoch;
  terms.base = answer->grant->stamp;
  terms.lease_ns = kLease;
}

void StoreFixture::commit(Batch batch) {
  batch.id = Uuid::random();
  const CommitOutcome outcome = sink.commit(batch, terms);
  INFO(outcome.error.what);
  REQUIRE(outcome.state == CommitState::committed);
  CHECK(outcome.stamp == Stamp{terms.base.version + 1, batch.id});
  terms.base = outcome.stamp;
}

InodeRecord file(Ino ino, std::uint64_t size) {
  InodeRecord out;
  out.ino = ino;
  out.attr.mode = 0100644;
  out.attr.uid = 1000;
  out.attr.gid = 0xfffffffe;
  out.attr.nlink = 1;
  out.attr.size = size;
  out.attr.blocks = (size + kBlockSize - 1) / kBlockSize;
  out.attr.rdev = 0x80000001;
  out.attr.atime = 1'600'000'000'123'456'789;
  out.attr.mtime = -5;
  out.attr.ctime = 7;
  return out;
}

Dirent entry(Ino parent, std::uint64_t cookie, const std::string& name, Ino ino) {
  return {parent, cookie, name, ino, 8};
}

Batch batch_of(std::vector<InodeRecord> inodes, std::vector<Dirent> dirents) {
  Batch out;
  out.inodes = std::move(inodes);
  out.dirents = std::move(dirents);
  return out;
}

ChunkPut chunk(Ino ino, std::uint32_t idx, const std::string& data) {
  return {ino, idx, sha256(data), 1, std::make_shared<const std::string>(data)};
}

}  // namespace sboxfs::test
