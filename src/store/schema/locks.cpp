// File locks and exec locks; whoever changes a sandbox's locks holds its lock_roots row FOR UPDATE.
#include "schema.hpp"

namespace sboxfs::schema {

const char kLocks[] = R"sql(
CREATE TABLE sboxfs.lock_roots (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  PRIMARY KEY (tenant, sandbox)
) WITH (fillfactor = 50);
CREATE TABLE sboxfs.locks (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  kind smallint NOT NULL,                 -- 1 flock, 2 record lock, 3 exec lock
  ino bigint NOT NULL,                    -- 0 for exec locks
  session uuid NOT NULL,
  owner bigint NOT NULL,                  -- the kernel's lock owner
  start bigint NOT NULL,
  stop bigint NOT NULL,
  exclusive boolean NOT NULL,
  waiting boolean NOT NULL,
  pid integer NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant, sandbox, kind, ino, session, owner, start, waiting)
);
CREATE INDEX locks_session ON sboxfs.locks (tenant, sandbox, session);
)sql";

}  // namespace sboxfs::schema
