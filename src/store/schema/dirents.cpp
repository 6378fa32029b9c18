// The key is the order of a listing: cookie first, the name only to tell equal hashes apart.
#include "schema.hpp"

namespace sboxfs::schema {

const char kDirents[] = R"sql(
CREATE TABLE sboxfs.dirents (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  parent bigint NOT NULL,
  cookie bigint NOT NULL,
  ino bigint NOT NULL,
  type integer NOT NULL,
  name bytea NOT NULL,
  PRIMARY KEY (tenant, sandbox, parent, cookie, name)
);
)sql";

}  // namespace sboxfs::schema
