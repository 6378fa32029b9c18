// Inodes without a name, and the sessions that hold them open.
#include "schema.hpp"

namespace sboxfs::schema {

const char kOrphans[] = R"sql(
CREATE TABLE sboxfs.orphans (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  unlinked_version bigint NOT NULL,
  PRIMARY KEY (tenant, sandbox, ino)
);
CREATE TABLE sboxfs.pins (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  ino bigint NOT NULL,
  session uuid NOT NULL,
  version bigint NOT NULL,                -- what the session had seen, or committed, when it pinned
  PRIMARY KEY (tenant, sandbox, ino, session)
);
CREATE INDEX pins_session ON sboxfs.pins (tenant, sandbox, session);
)sql";

}  // namespace sboxfs::schema
