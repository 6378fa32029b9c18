// Extended attributes.
#include "schema.hpp"

namespace sboxfs::schema {

const char kXattrs[] = R"sql(
CREATE TABLE sboxfs.xattrs (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  name bytea NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (tenant, sandbox, ino, name)
);
)sql";

}  // namespace sboxfs::schema
