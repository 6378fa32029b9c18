// The index by blob answers the janitor's question who names a blob.
#include "schema.hpp"

namespace sboxfs::schema {

const char kChunks[] = R"sql(
CREATE TABLE sboxfs.chunks (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  idx integer NOT NULL,
  mask integer NOT NULL,                  -- bit b: block b was written
  blob bytea,                             -- NULL: zeros, or patches only
  PRIMARY KEY (tenant, sandbox, ino, idx)
);
CREATE INDEX chunks_blob ON sboxfs.chunks (tenant, blob) WHERE blob IS NOT NULL;
)sql";

}  // namespace sboxfs::schema
