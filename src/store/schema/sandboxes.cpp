// One row a sandbox: version, lease, quota. Every commit updates it, so pages keep room for that (HOT).
#include "schema.hpp"

namespace sboxfs::schema {

const char kSandboxes[] = R"sql(
CREATE TABLE sboxfs.sandboxes (
  tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
  id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  version bigint NOT NULL DEFAULT 1,
  batch uuid NOT NULL,
  published_version bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  destroyed_at timestamptz,
  erased_at timestamptz,                  -- Redis has acknowledged that the key of the destroyed sandbox is gone
  writer uuid,                            -- who had the lease last
  epoch bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,                -- NULL: given up
  wanted_by uuid,
  wanted_at timestamptz,
  next_ino bigint NOT NULL DEFAULT 2,
  name_key bytea NOT NULL,
  quota_blocks bigint NOT NULL DEFAULT 0,
  quota_inodes bigint NOT NULL DEFAULT 0,
  used_blocks bigint NOT NULL DEFAULT 0,
  used_inodes bigint NOT NULL DEFAULT 1,  -- the root
  PRIMARY KEY (tenant, id)
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX sandboxes_name ON sboxfs.sandboxes (tenant, name) WHERE destroyed_at IS NULL;
)sql";

}  // namespace sboxfs::schema
