// Granting locks (migration 2). One call is one transaction under the sandbox's lock_roots row. Grants are not flushed
// to disk (a program may lock thousands of times a second): after a restart of Postgres nothing is granted before every
// session that held something has said what it holds (claim_locks), or has lost it.
#include "schema.hpp"

namespace sboxfs::schema {

const char kSetLock[] = R"sql(
-- What a session holds is good until `until`; after that whoever waits for it takes all of it away.
CREATE TABLE sboxfs.lock_holders (
  tenant text COLLATE "C" NOT NULL,
  sandbox uuid NOT NULL,
  session uuid NOT NULL,
  incarnation bigint NOT NULL,            -- +1 each time the session has lost its locks
  until timestamptz NOT NULL,
  server_start timestamptz NOT NULL,      -- of the Postgres that knows all the session holds
  fence bigint NOT NULL,                  -- calls with a lower number were given up: they do nothing any more
  PRIMARY KEY (tenant, sandbox, session)
) WITH (fillfactor = 50);
ALTER TABLE sboxfs.lock_holders ENABLE ROW LEVEL SECURITY;
ALTER TABLE sboxfs.lock_holders FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sboxfs.lock_holders USING (tenant = substr(current_user::text, 10))
  WITH CHECK (tenant = substr(current_user::text, 10));
GRANT SELECT, INSERT, UPDATE, DELETE ON sboxfs.lock_holders TO sboxfs_t;

-- When this Postgres started to serve; also after a crash of one of its processes, which loses what was not flushed, too
-- (it resets the statistics). A reset by hand only costs every session a claim.
CREATE FUNCTION sboxfs.server_start() RETURNS timestamptz LANGUAGE sql STABLE AS $fn$
  SELECT greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time())
$fn$;

-- Renews the session's hold, under the lock_roots row. 0 renewed, 1 renewed by a change that must be flushed; as
-- LockOutcome: 3 its locks were taken away, or a later incarnation asks; 6 it must say first what it holds; 8 the call
-- was given up by its caller, who has made another one since.
-- The row is written only when a third of the term has passed.
CREATE FUNCTION sboxfs.hold_locks(p_tenant text, p_sandbox uuid, p_session uuid, p_incarnation bigint, p_holds boolean,
                                  p_term interval, p_call bigint, p_fence bigint) RETURNS integer LANGUAGE plpgsql AS $fn$
DECLARE
  h record;
  instant constant timestamptz := clock_timestamp();
BEGIN
  SELECT * INTO h FROM sboxfs.lock_holders
   WHERE tenant = p_tenant AND sandbox = p_sandbox AND session = p_session FOR UPDATE;
  IF NOT FOUND THEN
    IF NOT p_holds THEN
      INSERT INTO sboxfs.lock_holders
      VALUES (p_tenant, p_sandbox, p_session, p_incarnation, instant + p_term, sboxfs.server_start(), p_fence);
    END IF;
    RETURN CASE WHEN p_holds THEN 3 ELSE 1 END;
  END IF;
  IF h.incarnation > p_incarnation OR (p_holds AND h.incarnation <> p_incarnation) THEN
    RETURN 3;
  END IF;
  IF h.server_start <> sboxfs.server_start() THEN
    RETURN 6;
  END IF;
  IF h.fence > p_call THEN
    RETURN 8;
  END IF;
  IF h.incarnation <> p_incarnation OR h.until < instant + p_term * 2 / 3 OR h.fence < p_fence THEN
    UPDATE sboxfs.lock_holders SET incarnation = p_incarnation, until = instant + p_term, fence = greatest(fence, p_fence)
     WHERE tenant = p_tenant AND sandbox = p_sandbox AND session = p_session;
  END IF;
  RETURN CASE WHEN h.incarnation <> p_incarnation THEN 1 ELSE 0 END;
END
$fn$;

-- After a restart: the arrays are all that the session holds. As LockOutcome: 0, or 3 its locks were taken away.
CREATE FUNCTION sboxfs.claim_locks(p_tenant text, p_sandbox uuid, p_session uuid, p_incarnation bigint,
                                   p_lease_ns bigint, p_kinds integer[], p_inos bigint[], p_owners bigint[],
                                   p_starts bigint[], p_stops bigint[], p_exclusives integer[], p_pids integer[])
RETURNS integer LANGUAGE plpgsql AS $fn$
BEGIN
  PERFORM FROM sboxfs.lock_roots r WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox FOR UPDATE;
  UPDATE sboxfs.lock_holders h
     SET incarnation = p_incarnation, until = clock_timestamp() + make_interval(secs => p_lease_ns / 1e9),
         server_start = sboxfs.server_start()
   WHERE h.tenant = p_tenant AND h.sandbox = p_sandbox AND h.session = p_session AND h.incarnation <= p_incarnation;
  IF NOT FOUND THEN
    RETURN 3;
  END IF;
  DELETE FROM sboxfs.locks l WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.session = p_session;
  INSERT INTO sboxfs.locks (tenant, sandbox, kind, ino, session, owner, start, stop, exclusive, waiting, pid)
  SELECT p_tenant, p_sandbox, r.kind, r.ino, p_session, r.owner, r.start, r.stop, r.exclusive <> 0, false, r.pid
    FROM unnest(p_kinds, p_inos, p_owners, p_starts, p_stops, p_exclusives, p_pids)
         AS r (kind, ino, owner, start, stop, exclusive, pid);
  RETURN 0;
END
$fn$;

-- Takes everything from a session that is dead: its locks, its requests, and the right to write (what it accepted and
-- has not committed can not be committed any more).
CREATE FUNCTION sboxfs.break_locks(p_tenant text, p_sandbox uuid, p_session uuid) RETURNS void
LANGUAGE plpgsql AS $fn$
BEGIN
  DELETE FROM sboxfs.locks WHERE tenant = p_tenant AND sandbox = p_sandbox AND session = p_session;
  DELETE FROM sboxfs.lock_holders WHERE tenant = p_tenant AND sandbox = p_sandbox AND session = p_session;
  UPDATE sboxfs.sandboxes SET epoch = epoch + 1, writer = NULL, lease_until = NULL
   WHERE tenant = p_tenant AND id = p_sandbox AND writer = p_session;
END
$fn$;

-- Whether the owner would wait for itself: from those who hold what it asks for, over what they wait for, back to it.
CREATE FUNCTION sboxfs.locks_in_a_circle(p_tenant text, p_sandbox uuid, p_session uuid, p_kind integer, p_ino bigint,
                                         p_owner bigint, p_start bigint, p_stop bigint, p_exclusive boolean)
RETURNS boolean LANGUAGE sql STABLE AS $fn$
  WITH RECURSIVE blocking (session, owner) AS (
    SELECT l.session, l.owner FROM sboxfs.locks l
     WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.kind = p_kind AND l.ino = p_ino AND NOT l.waiting
       AND (l.session <> p_session OR l.owner <> p_owner)
       AND l.start <= p_stop AND l.stop >= p_start AND (p_exclusive OR l.exclusive)
    UNION
    SELECT h.session, h.owner
      FROM blocking b
      JOIN sboxfs.locks w ON w.tenant = p_tenant AND w.sandbox = p_sandbox AND w.session = b.session
                         AND w.owner = b.owner AND w.kind = p_kind AND w.waiting
      JOIN sboxfs.locks h ON h.tenant = p_tenant AND h.sandbox = p_sandbox AND h.kind = w.kind AND h.ino = w.ino
                         AND NOT h.waiting AND (h.session <> w.session OR h.owner <> w.owner)
                         AND h.start <= w.stop AND h.stop >= w.start AND (w.exclusive OR h.exclusive))
  SELECT EXISTS (SELECT FROM blocking WHERE session = p_session AND owner = p_owner)
$fn$;

-- outcome: as LockOutcome. p_type: 0 none, 1 shared, 2 exclusive. The arrays are all that the owner holds of the inode
-- afterwards. No row: the sandbox is unknown or destroyed.
CREATE FUNCTION sboxfs.set_lock(p_tenant text, p_sandbox uuid, p_session uuid, p_incarnation bigint, p_holds boolean,
                                p_lease_ns bigint, p_dead uuid, p_kind integer, p_ino bigint, p_owner bigint,
                                p_start bigint, p_stop bigint, p_type integer, p_pid integer, p_wait boolean,
                                p_polite_ns bigint, p_dirty boolean, p_starts bigint[], p_stops bigint[],
                                p_exclusives integer[], p_pids integer[], p_call bigint, p_fence bigint)
RETURNS TABLE (outcome integer, wakes boolean, in_session uuid, in_owner bigint, in_start bigint, in_stop bigint,
               in_exclusive boolean, in_pid integer, writer uuid, version bigint, batch uuid)
LANGUAGE plpgsql AS $fn$
#variable_conflict use_column
DECLARE
  term constant interval := make_interval(secs => p_lease_ns / 1e9);
  instant timestamptz;
  gone uuid;
  c record;
  result integer := 0;
  woken boolean := false;
  kept integer;
  flush boolean;
BEGIN
  PERFORM FROM sboxfs.lock_roots r WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox FOR UPDATE;
  IF NOT FOUND OR NOT EXISTS (SELECT FROM sboxfs.sandboxes b WHERE b.tenant = p_tenant AND b.id = p_sandbox
                                 AND b.destroyed_at IS NULL) THEN
    RETURN;
  END IF;
  instant := clock_timestamp();
  IF p_dirty AND EXISTS (SELECT FROM sboxfs.sessions e WHERE e.tenant = p_tenant AND e.sandbox = p_sandbox
                            AND e.session <> p_session AND e.alive_until > instant) THEN
    RETURN QUERY SELECT 4, false, NULL::uuid, 0::bigint, 0::bigint, 0::bigint, false, 0, NULL::uuid, 0::bigint, p_session;
    RETURN;
  END IF;
  kept := sboxfs.hold_locks(p_tenant, p_sandbox, p_session, p_incarnation, p_holds, term, p_call, p_fence);
  IF kept > 1 THEN
    RETURN QUERY SELECT kept, false, NULL::uuid, 0::bigint, 0::bigint, 0::bigint, false, 0, NULL::uuid, 0::bigint, p_session;
    RETURN;
  END IF;

  flush := kept = 1;

  IF p_type > 0 THEN
    FOR c IN
      SELECT h.session, h.session = p_dead OR (h.until <= instant AND instant > sboxfs.server_start() + term) AS is_over
        FROM sboxfs.lock_holders h
       WHERE h.tenant = p_tenant AND h.sandbox = p_sandbox AND h.session <> p_session
         AND h.server_start <> sboxfs.server_start()
    LOOP
      IF c.is_over IS NOT TRUE THEN
        RETURN QUERY SELECT 7, false, c.session, 0::bigint, 0::bigint, 0::bigint, false, 0, NULL::uuid, 0::bigint, p_session;
        RETURN;
      END IF;
      PERFORM sboxfs.break_locks(p_tenant, p_sandbox, c.session);
      flush := true;
    END LOOP;
    -- While Postgres is up for less than a term nobody's time is over: nobody could renew.
    FOR gone IN
      SELECT DISTINCT l.session FROM sboxfs.locks l
       WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.kind = p_kind AND l.ino = p_ino AND NOT l.waiting
         AND l.session <> p_session AND l.start <= p_stop AND l.stop >= p_start AND (p_type = 2 OR l.exclusive)
         AND (l.session = p_dead
              OR NOT EXISTS (SELECT FROM sboxfs.lock_holders h WHERE h.tenant = p_tenant AND h.sandbox = p_sandbox
                                AND h.session = l.session
                                AND (h.until > instant OR instant <= sboxfs.server_start() + term)))
    LOOP
      PERFORM sboxfs.break_locks(p_tenant, p_sandbox, gone);
      flush := true;
    END LOOP;
    SELECT l.* INTO c FROM sboxfs.locks l
     WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.kind = p_kind AND l.ino = p_ino AND NOT l.waiting
       AND (l.session <> p_session OR l.owner <> p_owner)
       AND l.start <= p_stop AND l.stop >= p_start AND (p_type = 2 OR l.exclusive)
     ORDER BY l.start LIMIT 1;
    IF FOUND THEN
      result := 1;
      IF p_wait AND p_kind = 2
         AND sboxfs.locks_in_a_circle(p_tenant, p_sandbox, p_session, p_kind, p_ino, p_owner, p_start, p_stop, p_type = 2)
      THEN
        result := 2;
      END IF;
    ELSIF p_wait AND p_polite_ns > 0 THEN
      -- Somebody who has waited for a while longer and is in nobody's way but ours gets its turn.
      SELECT w.* INTO c FROM sboxfs.locks w
       WHERE w.tenant = p_tenant AND w.sandbox = p_sandbox AND w.kind = p_kind AND w.ino = p_ino AND w.waiting
         AND (w.session <> p_session OR w.owner <> p_owner)
         AND w.start <= p_stop AND w.stop >= p_start AND (p_type = 2 OR w.exclusive)
         AND w.asked_at < instant - make_interval(secs => p_polite_ns / 1e9)
         AND w.asked_at < coalesce((SELECT m.asked_at FROM sboxfs.locks m
                                     WHERE m.tenant = p_tenant AND m.sandbox = p_sandbox AND m.kind = p_kind
                                       AND m.ino = p_ino AND m.session = p_session AND m.owner = p_owner AND m.waiting
                                     ORDER BY m.asked_at LIMIT 1), instant)
         AND EXISTS (SELECT FROM sboxfs.lock_holders h WHERE h.tenant = p_tenant AND h.sandbox = p_sandbox
                        AND h.session = w.session AND h.until > instant)
         AND NOT EXISTS (SELECT FROM sboxfs.locks l
                          WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.kind = p_kind AND l.ino = p_ino
                            AND NOT l.waiting AND (l.session <> w.session OR l.owner <> w.owner)
                            AND l.start <= w.stop AND l.stop >= w.start AND (w.exclusive OR l.exclusive))
       LIMIT 1;
      IF FOUND THEN
        result := 5;
      END IF;
    END IF;
  END IF;

  -- flock(2) converts by letting go first.
  IF result = 0 OR (result = 1 AND p_kind = 1) THEN
    DELETE FROM sboxfs.locks l
     WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.kind = p_kind AND l.ino = p_ino
       AND l.session = p_session AND l.owner = p_owner AND NOT l.waiting;
    woken := EXISTS (SELECT FROM sboxfs.locks w
                      WHERE w.tenant = p_tenant AND w.sandbox = p_sandbox AND w.kind = p_kind AND w.ino = p_ino
                        AND w.waiting AND (w.session <> p_session OR w.owner <> p_owner));
  END IF;
  IF result = 0 THEN
    INSERT INTO sboxfs.locks (tenant, sandbox, kind, ino, session, owner, start, stop, exclusive, waiting, pid)
    SELECT p_tenant, p_sandbox, p_kind, p_ino, p_session, p_owner, r.start, r.stop, r.exclusive <> 0, false, r.pid
      FROM unnest(p_starts, p_stops, p_exclusives, p_pids) AS r (start, stop, exclusive, pid);
  END IF;
  IF p_wait AND result IN (1, 5) THEN
    INSERT INTO sboxfs.locks (tenant, sandbox, kind, ino, session, owner, start, stop, exclusive, waiting, pid)
    VALUES (p_tenant, p_sandbox, p_kind, p_ino, p_session, p_owner, p_start, p_stop, p_type = 2, true, p_pid)
    ON CONFLICT (tenant, sandbox, kind, ino, session, owner, start, waiting) DO UPDATE
       SET stop = EXCLUDED.stop, exclusive = EXCLUDED.exclusive;
  ELSIF result <> 1 THEN
    DELETE FROM sboxfs.locks l
     WHERE l.tenant = p_tenant AND l.sandbox = p_sandbox AND l.kind = p_kind AND l.ino = p_ino
       AND l.session = p_session AND l.owner = p_owner AND l.waiting AND (p_type = 0 OR l.start = p_start);
  END IF;

  IF NOT flush THEN
    PERFORM set_config('synchronous_commit', 'off', true);
  END IF;
  IF result IN (1, 2) THEN
    RETURN QUERY
      SELECT result, woken, c.session, c.owner, c.start, c.stop, c.exclusive, c.pid,
             CASE WHEN b.lease_until > instant THEN b.writer END, b.version, b.batch
        FROM sboxfs.sandboxes b WHERE b.tenant = p_tenant AND b.id = p_sandbox;
  ELSE
    RETURN QUERY
      SELECT result, woken, NULL::uuid, 0::bigint, 0::bigint, 0::bigint, false, 0,
             CASE WHEN b.lease_until > instant THEN b.writer END, b.version, b.batch
        FROM sboxfs.sandboxes b WHERE b.tenant = p_tenant AND b.id = p_sandbox;
  END IF;
END
$fn$;
)sql";

}  // namespace sboxfs::schema
