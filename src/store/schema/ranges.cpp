// Bytes that are allocated, not written.
#include "schema.hpp"

namespace sboxfs::schema {

const char kRanges[] = R"sql(
CREATE TABLE sboxfs.ranges (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  start bigint NOT NULL,
  stop bigint NOT NULL,
  PRIMARY KEY (tenant, sandbox, ino, start)
);
)sql";

}  // namespace sboxfs::schema
