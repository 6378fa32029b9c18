// Content by its SHA-256. EXTERNAL: whole values are wanted, and what pays is compressed already (codec).
#include "schema.hpp"

namespace sboxfs::schema {

const char kBlobs[] = R"sql(
CREATE TABLE sboxfs.blobs (
  tenant text COLLATE "C" NOT NULL,
  hash bytea NOT NULL,
  size integer NOT NULL,                  -- of the plain bytes
  codec integer NOT NULL,                 -- 0 plain, 1 zstd
  dead_since timestamptz,                 -- marked by the janitor
  data bytea NOT NULL,
  PRIMARY KEY (tenant, hash)
);
ALTER TABLE sboxfs.blobs ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX blobs_dead ON sboxfs.blobs (tenant, dead_since) WHERE dead_since IS NOT NULL;
)sql";

}  // namespace sboxfs::schema
