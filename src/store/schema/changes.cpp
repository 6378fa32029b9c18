// One row a version: what it changed, for those who follow; and proof of a commit whose answer was lost.
#include "schema.hpp"

namespace sboxfs::schema {

const char kChanges[] = R"sql(
CREATE TABLE sboxfs.changes (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  version bigint NOT NULL,
  batch uuid NOT NULL,
  epoch bigint NOT NULL,
  session uuid NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  body bytea NOT NULL,
  PRIMARY KEY (tenant, sandbox, version)
);
)sql";

}  // namespace sboxfs::schema
