// Every live mount, readers too. Few rows, updated often.
#include "schema.hpp"

namespace sboxfs::schema {

const char kSessions[] = R"sql(
CREATE TABLE sboxfs.sessions (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  session uuid NOT NULL,
  host text NOT NULL,
  mount_point text NOT NULL,
  seen bigint NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  alive_until timestamptz NOT NULL,
  PRIMARY KEY (tenant, sandbox, session)
) WITH (fillfactor = 50);
)sql";

}  // namespace sboxfs::schema
