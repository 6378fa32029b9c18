// Every row of some inodes, gone. Blobs stay: the janitor finds those nobody names.
#include "schema.hpp"

namespace sboxfs::schema {

const char kDeleteInodes[] = R"sql(
CREATE FUNCTION sboxfs.delete_inodes(p_tenant text, p_sandbox uuid, p_inos bigint[]) RETURNS void
LANGUAGE plpgsql AS $fn$
BEGIN
  DELETE FROM sboxfs.patches WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
  DELETE FROM sboxfs.chunks WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
  DELETE FROM sboxfs.ranges WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
  DELETE FROM sboxfs.xattrs WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
  DELETE FROM sboxfs.pins WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
  DELETE FROM sboxfs.orphans WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
  DELETE FROM sboxfs.inodes WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (p_inos);
END
$fn$;

-- An orphan can go once every live session has seen the version that unlinked it and no live session pins it.
CREATE FUNCTION sboxfs.orphan_is_free(p_tenant text, p_sandbox uuid, p_ino bigint, p_unlinked bigint) RETURNS boolean
LANGUAGE sql STABLE AS $fn$
  SELECT NOT EXISTS (
    SELECT FROM sboxfs.sessions e
     WHERE e.tenant = p_tenant AND e.sandbox = p_sandbox AND e.alive_until > clock_timestamp()
       AND (e.seen < p_unlinked
            OR EXISTS (SELECT FROM sboxfs.pins n WHERE n.tenant = p_tenant AND n.sandbox = p_sandbox
                          AND n.ino = p_ino AND n.session = e.session)))
$fn$;

-- The sandbox's row is locked before it is asked who is alive, as heartbeats hold it FOR SHARE. Once free, an orphan
-- stays free: so a large one may lose its chunks over several calls (at most p_rows a call). Returns the inodes it
-- worked on.
CREATE FUNCTION sboxfs.delete_orphans(p_tenant text, p_limit bigint, p_rows bigint) RETURNS bigint
LANGUAGE plpgsql AS $fn$
DECLARE
  box uuid;
  orphan bigint;
  rows_left bigint := p_rows;
  handled bigint := 0;
BEGIN
  FOR box IN SELECT DISTINCT o.sandbox FROM sboxfs.orphans o
              WHERE o.tenant = p_tenant AND sboxfs.orphan_is_free(p_tenant, o.sandbox, o.ino, o.unlinked_version)
  LOOP
    PERFORM FROM sboxfs.sandboxes WHERE tenant = p_tenant AND id = box FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    FOR orphan IN SELECT o.ino FROM sboxfs.orphans o
                   WHERE o.tenant = p_tenant AND o.sandbox = box
                     AND sboxfs.orphan_is_free(p_tenant, o.sandbox, o.ino, o.unlinked_version)
                   LIMIT p_limit - handled
    LOOP
      rows_left := rows_left - sboxfs.delete_rows('sboxfs.chunks', p_tenant, box, ARRAY(
        SELECT c.ctid FROM sboxfs.chunks c WHERE c.tenant = p_tenant AND c.sandbox = box AND c.ino = orphan
         LIMIT rows_left));
      handled := handled + 1;
      EXIT WHEN rows_left <= 0;
      PERFORM sboxfs.delete_inodes(p_tenant, box, ARRAY[orphan]);
    END LOOP;
    EXIT WHEN handled >= p_limit OR rows_left <= 0;
  END LOOP;
  RETURN handled;
END
$fn$;
)sql";

}  // namespace sboxfs::schema
