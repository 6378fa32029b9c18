// Taking the lease, and a session's heartbeat: what must look at the row after it has locked it.
#include "schema.hpp"

namespace sboxfs::schema {

const char kLease[] = R"sql(
-- Grants when the lease is free, has expired, is the session's already, or its holder is known to be dead; an
-- earlier asker that is alive and has asked within the last second goes first. While Postgres is up for less than a
-- lease, an expired lease is its writer's alone: it could not renew. No row: unknown sandbox.
CREATE FUNCTION sboxfs.acquire_lease(p_tenant text, p_sandbox uuid, p_session uuid, p_lease_ns bigint, p_dead uuid,
                                     p_reserve bigint)
RETURNS TABLE (granted boolean, inos_from bigint, writer uuid, wanted_by uuid, epoch bigint, version bigint, batch uuid,
               published_version bigint, destroyed boolean, left_ns bigint, wall_ns bigint)
LANGUAGE plpgsql AS $fn$
#variable_conflict use_column
DECLARE
  s record;
  instant timestamptz;
  term constant interval := make_interval(secs => p_lease_ns / 1e9);
  free boolean;
  granted_now boolean := false;
  first_ino bigint := 0;
  asked_first boolean;
BEGIN
  SELECT * INTO s FROM sboxfs.sandboxes b WHERE b.tenant = p_tenant AND b.id = p_sandbox FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  instant := clock_timestamp();
  IF s.destroyed_at IS NULL THEN
    asked_first := s.wanted_by IS NOT NULL AND s.wanted_by <> p_session AND s.wanted_by IS DISTINCT FROM p_dead
      AND s.wanted_at > instant - interval '1 second'
      AND EXISTS (SELECT FROM sboxfs.sessions e WHERE e.tenant = p_tenant AND e.sandbox = p_sandbox
                     AND e.session = s.wanted_by AND e.alive_until > instant);
    free := s.writer IS NULL OR s.lease_until IS NULL OR s.writer = p_dead
      OR (s.lease_until <= instant AND instant > pg_postmaster_start_time() + term);
    IF coalesce(s.writer = p_session AND (s.lease_until > instant OR NOT asked_first), false)
       OR (coalesce(free, false) AND NOT asked_first) THEN
      granted_now := true;
      first_ino := s.next_ino;
      UPDATE sboxfs.sandboxes b
         SET writer = p_session, lease_until = instant + term, next_ino = b.next_ino + p_reserve,
             epoch = b.epoch + CASE WHEN b.writer = p_session THEN 0 ELSE 1 END,
             wanted_by = CASE WHEN asked_first THEN b.wanted_by END,
             wanted_at = CASE WHEN asked_first THEN b.wanted_at END
       WHERE b.tenant = p_tenant AND b.id = p_sandbox;
    ELSIF NOT asked_first THEN
      UPDATE sboxfs.sandboxes b SET wanted_by = p_session, wanted_at = instant
       WHERE b.tenant = p_tenant AND b.id = p_sandbox;
    END IF;
  END IF;
  RETURN QUERY
    SELECT granted_now, first_ino, CASE WHEN b.lease_until > instant THEN b.writer END, b.wanted_by, b.epoch, b.version,
           b.batch, b.published_version, b.destroyed_at IS NOT NULL,
           (extract(epoch FROM b.lease_until - instant) * 1000000000)::bigint,
           (extract(epoch FROM instant) * 1000000000)::bigint
      FROM sboxfs.sandboxes b WHERE b.tenant = p_tenant AND b.id = p_sandbox;
END
$fn$;

-- False: the session's row is gone, or it has been dead in others' eyes. FOR SHARE on the sandbox keeps commits, which
-- ask who is alive, from looking meanwhile. Pins that a commit after `p_seen` wrote are not this call's to take back.
CREATE FUNCTION sboxfs.keep_session(p_tenant text, p_sandbox uuid, p_session uuid, p_seen bigint, p_pins bigint[],
                                    p_alive_ns bigint) RETURNS boolean LANGUAGE plpgsql AS $fn$
BEGIN
  PERFORM FROM sboxfs.sandboxes WHERE tenant = p_tenant AND id = p_sandbox AND destroyed_at IS NULL FOR SHARE;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM sboxfs.pins WHERE tenant = p_tenant AND sandbox = p_sandbox AND session = p_session
     AND version <= p_seen AND ino <> ALL (p_pins);
  INSERT INTO sboxfs.pins (tenant, sandbox, ino, session, version)
  SELECT p_tenant, p_sandbox, ino, p_session, p_seen FROM unnest(p_pins) AS ino
  ON CONFLICT (tenant, sandbox, ino, session) DO NOTHING;
  UPDATE sboxfs.sessions
     SET seen = greatest(seen, p_seen), alive_until = clock_timestamp() + make_interval(secs => p_alive_ns / 1e9)
   WHERE tenant = p_tenant AND sandbox = p_sandbox AND session = p_session AND alive_until > clock_timestamp();
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the session was declared dead' USING ERRCODE = 'SB003';  -- takes the pins back
  END IF;
  RETURN true;
END
$fn$;
)sql";

}  // namespace sboxfs::schema
