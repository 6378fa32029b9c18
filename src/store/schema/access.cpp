// Who may see what: a tenant's role its own rows. substr(current_user, 10) is what follows 'sboxfs_t_'.
#include "schema.hpp"

namespace sboxfs::schema {

const char kAccess[] = R"sql(
-- current_user is constant for a statement, so it serves as an index key; a tenant's role is a member of sboxfs_t
-- alone, for which the expression is '' and equals no tenant: SET ROLE leads nowhere.
DO $do$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['sandboxes', 'changes', 'inodes', 'dirents', 'chunks', 'patches', 'ranges', 'xattrs',
                              'sessions', 'orphans', 'pins', 'lock_roots', 'locks', 'blobs'] LOOP
    EXECUTE format('ALTER TABLE sboxfs.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE sboxfs.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON sboxfs.%I USING (tenant = substr(current_user::text, 10)) '
                   'WITH CHECK (tenant = substr(current_user::text, 10))', name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON sboxfs.%I TO sboxfs_t', name);
  END LOOP;
END
$do$;
GRANT USAGE ON SCHEMA sboxfs TO sboxfs_t;
GRANT SELECT ON sboxfs.schema_version TO sboxfs_t;
)sql";

}  // namespace sboxfs::schema
