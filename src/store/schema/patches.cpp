// Small overwrites. The data stays in the row, uncompressed: a TOAST table would double the log of each.
#include "schema.hpp"

namespace sboxfs::schema {

const char kPatches[] = R"sql(
CREATE TABLE sboxfs.patches (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  idx integer NOT NULL,
  version bigint NOT NULL,
  start integer NOT NULL,                 -- offset in the chunk
  data bytea NOT NULL,
  PRIMARY KEY (tenant, sandbox, ino, idx, version)
) WITH (toast_tuple_target = 8160);
ALTER TABLE sboxfs.patches ALTER COLUMN data SET STORAGE EXTERNAL;
)sql";

}  // namespace sboxfs::schema
