#include <doctest/doctest.h>

#include <algorithm>

#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

TEST_CASE("admin: a name is unique among the living, found by name and id, and free again after destroy") {
  StoreFixture box;
  CreateRequest request;
  request.name = box.name;
  CHECK(create_sandbox(*box.pool, box.tenant, request).code() == EEXIST);
  CHECK(find_sandbox(*box.pool, box.tenant, box.name).value() == box.id);
  CHECK(find_sandbox(*box.pool, box.tenant, box.id.text()).value() == box.id);
  CHECK(find_sandbox(*box.pool, box.tenant, "no-such").code() == ENOENT);
  REQUIRE(destroy_sandbox(*box.pool, box.tenant, box.id).ok());
  CHECK(destroy_sandbox(*box.pool, box.tenant, box.id).code() == ENOENT);
  CHECK(find_sandbox(*box.pool, box.tenant, box.name).code() == ENOENT);
  CHECK(sandbox_info(*box.pool, box.tenant, box.id).code() == ENOENT);
  const auto renewed = create_sandbox(*box.pool, box.tenant, request);
  REQUIRE(renewed.ok());
  CHECK(renewed.value() != box.id);
}

TEST_CASE("admin: info and list show versions, the holder, usage, quota and mounts") {
  StoreFixture box;
  REQUIRE(box.lease.open_session("alpha", "/mnt/a", 30 * kSecondNs).ok());
  REQUIRE(PgLeaseStore(box.other_session()).open_session("beta", "/mnt/b", 30 * kSecondNs).ok());
  box.take_lease();
  Batch batch = batch_of({file(10, 5000), file(11, 7)});
  batch.used_blocks = 3;
  batch.used_inodes = 2;
  box.commit(batch);
  REQUIRE(set_quota(*box.pool, box.tenant, box.id, 4097, std::nullopt).ok());
  const auto info = sandbox_info(*box.pool, box.tenant, box.id);
  INFO(info.error().what);
  REQUIRE(info.ok());
  CHECK(info->name == box.name);
  CHECK(info->stamp == box.terms.base);
  CHECK(info->published_version == 0);
  CHECK(info->epoch == 1);
  CHECK(info->writer == box.context.session);
  CHECK(info->writer_host == "alpha");
  CHECK(info->lease_left_ns > 5 * kSecondNs);
  CHECK(info->used_inodes == 3);
  CHECK(info->used_blocks == 3);
  CHECK(info->bytes == 5007);
  CHECK(info->quota_blocks == 2);
  CHECK(info->quota_inodes == 0);
  CHECK(info->created_ns > 1'600'000'000 * kSecondNs);
  CHECK(info->session_count == 2);
  REQUIRE(info->sessions.size() == 2);
  CHECK(info->sessions[0].id == box.context.session);
  CHECK(info->sessions[0].mount_point == "/mnt/a");
  CHECK(info->sessions[1].host == "beta");
  CHECK(info->sessions[1].alive_left_ns > 20 * kSecondNs);
  const auto list = list_sandboxes(*box.pool, box.tenant);
  REQUIRE(list.ok());
  const auto found = std::find_if(list->begin(), list->end(), [&](const SandboxInfo& i) { return i.id == box.id; });
  REQUIRE(found != list->end());
  CHECK(found->session_count == 2);
  CHECK(found->stamp == box.terms.base);
  CHECK(set_quota(*box.pool, box.tenant, Uuid::random(), 1, 1).code() == ENOENT);
  const auto tenants = list_tenants(*box.pool);
  REQUIRE(tenants.ok());
  CHECK(std::count(tenants->begin(), tenants->end(), "default") == 1);
}

TEST_CASE("admin: a copy has the committed tree, its own history from the source's version on, and no orphans") {
  StoreFixture box;
  box.take_lease();
  const std::string data = "shared";
  REQUIRE(box.sink.upload(std::vector<BlobPut>{{sha256(data), std::make_shared<const std::string>(data)}}).ok());
  Batch batch = batch_of({file(10, 6), file(11)}, {entry(1, 5, "a", 10)});
  batch.chunks = {chunk(10, 0, data)};
  batch.xattrs = {{10, "user.k", "v", false}};
  batch.ranges = {{10, {{8192, 12288}}}};
  batch.orphans = {11};
  box.commit(batch);
  Batch patch;
  patch.patches = {{10, 0, 1, 1, "H"}};
  box.commit(patch);
  const std::string name = box.name + "-copy";
  const auto copy = copy_sandbox(*box.pool, box.tenant, box.id, name);
  INFO(copy.error().what);
  REQUIRE(copy.ok());
  CHECK(copy_sandbox(*box.pool, box.tenant, box.id, name).code() == EEXIST);
  CHECK(copy_sandbox(*box.pool, box.tenant, Uuid::random(), "x" + name).code() == ENOENT);

  StoreContext context = box.context;
  context.sandbox = copy.value();
  PgLoader loader(context);
  const auto facts = loader.facts();
  REQUIRE(facts.ok());
  CHECK(facts->stamp.version == 3);
  CHECK(facts->stamp.batch != box.terms.base.batch);
  CHECK(facts->name_key == box.loader.facts()->name_key);
  CHECK(loader.changes(3)->base == facts->stamp.batch);
  CHECK(loader.directory(1, 0, 10)->entries.at(0).inode == file(10, 6));
  CHECK(!loader.inode(11)->inode);
  CHECK(loader.xattrs(10)->xattrs == std::vector<Xattr>{{"user.k", "v"}});
  const auto chunks = loader.chunks(10, 0, 1);
  CHECK(chunks->ranges == std::vector<Range>{{8192, 12288}});
  REQUIRE(chunks->chunks.size() == 1);
  CHECK(chunks->chunks[0] == Chunk{0, sha256(data), 1, {{3, 1, "H"}}});
  PgLeaseStore lease(context);
  const auto grant = lease.acquire(kLease, std::nullopt);
  REQUIRE(grant->grant);
  CHECK(grant->grant->inos_from == 2 + kInosPerLease);
}

TEST_CASE("admin: the outbox holds what is not published and what was destroyed but not erased") {
  StoreFixture box("outbox");
  const auto mine = [&]() -> std::optional<OutboxItem> {
    const auto items = outbox(*box.pool, box.tenant);
    REQUIRE(items.ok());
    for (const OutboxItem& item : items.value()) {
      if (item.id == box.id) return item;
    }
    return std::nullopt;
  };
  REQUIRE(mine());
  CHECK(mine()->lease_free);
  REQUIRE(mark_published(*box.pool, box.tenant, box.id, 1).ok());
  CHECK(!mine());
  box.take_lease();
  box.commit(batch_of({file(10)}));
  REQUIRE(mine());
  CHECK(!mine()->lease_free);
  CHECK(mine()->stamp == box.terms.base);
  CHECK(mine()->published_version == 1);
  const std::vector<SandboxId> ids{box.id, Uuid::random()};
  const auto rows = audit(*box.pool, box.tenant, ids);
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 1);
  CHECK(rows->at(0).stamp == box.terms.base);
  CHECK(rows->at(0).published_version == 1);
  CHECK(!rows->at(0).destroyed);
  REQUIRE(mark_published(*box.pool, box.tenant, box.id, 99).ok());
  CHECK(!mine());
  REQUIRE(destroy_sandbox(*box.pool, box.tenant, box.id).ok());
  REQUIRE(mine());
  CHECK(mine()->destroyed);
}
