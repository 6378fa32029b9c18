#include <doctest/doctest.h>

#include <thread>

#include "sboxfs/store/tenant.hpp"
#include "store_fixture.hpp"

using namespace sboxfs;
using namespace sboxfs::test;

namespace {

constexpr PgStatement kSetRole{"set_role", "SET ROLE sboxfs_t"};
constexpr PgStatement kResetRole{"reset_role", "RESET ROLE"};
constexpr PgStatement kCountById{"count_by_id", "SELECT count(*) FROM sboxfs.sandboxes WHERE id = $1"};
constexpr PgStatement kCountTheirs{"count_theirs", "SELECT count(*) FROM sboxfs.inodes WHERE tenant = 'theirs'"};
constexpr PgStatement kUpdateTheirs{"update_theirs",
                                    "UPDATE sboxfs.sandboxes SET name = 'x' WHERE id = $1 RETURNING 1"};
constexpr PgStatement kDeleteTheirs{"delete_theirs", "DELETE FROM sboxfs.changes WHERE tenant = 'theirs' RETURNING 1"};
constexpr PgStatement kInsertTheirs{
    "insert_theirs", "INSERT INTO sboxfs.dirents VALUES ('theirs', $1, 1, 5, 1, 4, '\\x61') RETURNING 1"};
constexpr PgStatement kExplain{"explain", R"sql(EXPLAIN
  SELECT * FROM (SELECT * FROM sboxfs.dirents WHERE tenant = $1 AND sandbox = $2 AND parent = 1 AND cookie >= 3
                  ORDER BY cookie FETCH FIRST 10 ROWS WITH TIES) d
   CROSS JOIN LATERAL (SELECT * FROM sboxfs.inodes n
                        WHERE n.tenant = $1 AND n.sandbox = $2 AND n.ino = d.ino OFFSET 0) i)sql"};

}  // namespace

TEST_CASE("schema: init by several hosts at once and again is one schema and one tenant each") {
  std::vector<std::thread> hosts;
  std::vector<Result<InitReport>> reports(4, fail(EIO));
  for (std::size_t i = 0; i < reports.size(); ++i) {
    hosts.emplace_back([&reports, i] {
      InitRequest request;
      request.admin = admin_options();
      request.tenant = i % 2 == 0 ? "crowd" : "crowd-2";
      reports[i] = init_store(request);
    });
  }
  for (std::thread& host : hosts) host.join();
  int created = 0;
  for (const auto& report : reports) {
    INFO(report.error().what);
    REQUIRE(report.ok());
    CHECK(report->schema_to == 2);
    created += report->tenant_created ? 1 : 0;
  }
  CHECK(created == 2);
  CHECK(PostgresFixture::shared().query("SELECT version FROM sboxfs.schema_version ORDER BY 1") ==
        std::vector<std::string>{"1", "2"});
}

TEST_CASE("schema: a version this program does not know is refused, by init and by sessions") {
  const auto pool = open_test_tenant("default");
  PostgresFixture::shared().query("INSERT INTO sboxfs.schema_version VALUES (99)");
  InitRequest request;
  request.admin = admin_options();
  const auto init = init_store(request);
  const auto opened = open_tenant(admin_options(), "default");
  PostgresFixture::shared().query("DELETE FROM sboxfs.schema_version WHERE version = 99");
  CHECK(init.code() == EPROTO);
  CHECK(opened.code() == EPROTO);
  CHECK(opened.error().what.find("99") != std::string::npos);
}

TEST_CASE("schema: an administrator without superuser, with CREATEROLE and CREATE on the database, can init") {
  auto& server = PostgresFixture::shared();
  server.query("DO $$ BEGIN CREATE ROLE plain LOGIN CREATEROLE; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  server.query("DO $$ BEGIN CREATE ROLE weak LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  server.query("CREATE DATABASE managed OWNER plain");
  InitRequest request;
  request.admin.conninfo = "host=" + server.socket_dir() + " user=weak dbname=managed";
  request.tenant = "managed";
  const auto refused = init_store(request);
  INFO(refused.error().what);
  CHECK(refused.code() == EACCES);
  if (server.query("SELECT current_setting('server_version_num')::int >= 160000").at(0) == "f") {
    request.admin.conninfo = "host=" + server.socket_dir() + " user=plain dbname=managed";
    const auto done = init_store(request);
    INFO(done.error().what);
    REQUIRE(done.ok());
    CHECK(done->schema_from == 0);
  }
}

TEST_CASE("schema: an unknown tenant is an error, and a foreign password is not sent for a tenant's role") {
  open_test_tenant("default");
  CHECK(open_tenant(admin_options(), "nobody").code() == EACCES);
  CHECK(open_tenant(admin_options(), "No Good").code() == EINVAL);
  const auto conninfo = tenant_conninfo("postgresql://admin:secret@h/db", "default");
  REQUIRE(conninfo.ok());
  CHECK(conninfo->find("secret") == std::string::npos);
  CHECK(conninfo->find("user='sboxfs_t_default'") != std::string::npos);
  CHECK(tenant_conninfo("user=sboxfs_t_default password=own", "default")->find("own") != std::string::npos);
}

TEST_CASE("schema: every table forces row-level security; a tenant's role is neither superuser, owner nor exempt") {
  StoreFixture mine("mine");
  StoreFixture theirs("theirs");
  auto& server = PostgresFixture::shared();
  CHECK(server.query("SELECT relname FROM pg_class WHERE relnamespace = 'sboxfs'::regnamespace AND relkind = 'r' AND "
                     "NOT (relrowsecurity AND relforcerowsecurity)") == std::vector<std::string>{"schema_version"});
  CHECK(server
            .query("SELECT 1 FROM pg_roles WHERE rolname = 'sboxfs_t_mine' AND rolcanlogin AND NOT rolsuper AND NOT "
                   "rolbypassrls AND NOT rolcreaterole")
            .size() == 1);
  CHECK(server.query("SELECT 1 FROM pg_tables WHERE schemaname = 'sboxfs' AND tableowner <> 'sboxfs_owner'").empty());
  CHECK(server.query("SELECT 1 FROM pg_class WHERE relnamespace = 'sboxfs'::regnamespace AND relpersistence <> 'p'")
            .empty());
}

TEST_CASE("schema: through a tenant's connection another tenant's rows do not exist and can not be written") {
  StoreFixture mine("mine");
  StoreFixture theirs("theirs");
  PgParams theirs_id;
  theirs_id.uuid(theirs.id);
  for (const PgStatement* role : {&kResetRole, &kSetRole, &kResetRole}) {  // the group of tenants sees no rows either
    auto acquired = mine.pool->acquire(mine.pool->deadline());
    REQUIRE(acquired.index() == 0);
    const PgPool::Loan& loan = *std::get_if<0>(&acquired);
    REQUIRE(loan->run(*role, {}, mine.pool->deadline()).ok());
    CHECK(loan->run(kCountById, theirs_id, mine.pool->deadline()).rows().int8(0, 0) == 0);
    CHECK(loan->run(kCountTheirs, {}, mine.pool->deadline()).rows().int8(0, 0) == 0);
    CHECK(loan->run(kUpdateTheirs, theirs_id, mine.pool->deadline()).rows().empty());
    CHECK(loan->run(kDeleteTheirs, {}, mine.pool->deadline()).rows().empty());
  }
  const PgAnswer inserted = mine.pool->run(kInsertTheirs, theirs_id);
  REQUIRE(!inserted.ok());
  CHECK(inserted.failure().sqlstate == "42501");
  CHECK(theirs.loader.facts().ok());
  CHECK(PgLoader({mine.pool.get(), "theirs", theirs.id, {}}).facts().code() == ESTALE);
}

TEST_CASE("schema: a directory is loaded by index, with security on and nothing analysed") {
  StoreFixture box;
  PgParams params;
  params.text(box.tenant).uuid(box.id);
  const PgAnswer plan = box.pool->run(kExplain, params);
  REQUIRE(plan.ok());
  std::string text;
  for (int row = 0; row < plan.rows().size(); ++row) text += std::string(plan.rows().bytes(row, 0)) + "\n";
  INFO(text);
  CHECK(text.find("Seq Scan") == std::string::npos);
  CHECK(text.find("Sort") == std::string::npos);
  CHECK(text.find("SubPlan") == std::string::npos);
  CHECK(text.find("dirents_pkey") != std::string::npos);
  CHECK(text.find("inodes_pkey") != std::string::npos);
  CHECK(text.find("(ino = dirents.ino)") != std::string::npos);  // in the index condition, not in a filter behind it
  CHECK(text.find("Join Filter") == std::string::npos);
}
