// What became of a commit whose answer was lost. A function, so that the second query sees what the lock waited for.
#include "schema.hpp"

namespace sboxfs::schema {

const char kLookUp[] = R"sql(
-- state: 0 committed, 1 not applied, 2 fenced, 3 destroyed.
CREATE FUNCTION sboxfs.look_up(p_tenant text, p_sandbox uuid, p_epoch bigint, p_base bigint, p_base_batch uuid,
                               p_batch uuid,
                               OUT state integer, OUT published bigint)
LANGUAGE plpgsql AS $fn$
DECLARE
  s record;
BEGIN
  SELECT * INTO s FROM sboxfs.sandboxes WHERE tenant = p_tenant AND id = p_sandbox FOR UPDATE;
  IF NOT FOUND THEN
    state := 3;
    RETURN;
  END IF;
  published := s.published_version;
  SELECT 0 INTO state FROM sboxfs.changes c
   WHERE c.tenant = p_tenant AND c.sandbox = p_sandbox AND c.version = p_base + 1 AND c.batch = p_batch;
  IF NOT FOUND THEN
    state := CASE WHEN s.destroyed_at IS NOT NULL THEN 3
                  WHEN s.epoch = p_epoch AND s.version = p_base AND s.batch = p_base_batch THEN 1
                  ELSE 2 END;
  END IF;
END
$fn$;
)sql";

}  // namespace sboxfs::schema
