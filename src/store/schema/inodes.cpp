// uid, gid, mode, rdev and flags are unsigned 32-bit numbers kept as integer (the same bits).
#include "schema.hpp"

namespace sboxfs::schema {

const char kInodes[] = R"sql(
CREATE TABLE sboxfs.inodes (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  mode integer NOT NULL,
  uid integer NOT NULL,
  gid integer NOT NULL,
  nlink integer NOT NULL,
  rdev integer NOT NULL,
  flags integer NOT NULL,
  size bigint NOT NULL,
  blocks bigint NOT NULL,
  atime bigint NOT NULL,
  mtime bigint NOT NULL,
  ctime bigint NOT NULL,
  parent bigint,                          -- of a directory
  target bytea,                           -- of a symlink
  PRIMARY KEY (tenant, sandbox, ino)
) WITH (fillfactor = 90);
)sql";

}  // namespace sboxfs::schema
