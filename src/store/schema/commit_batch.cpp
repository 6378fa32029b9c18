// One commit, one call: all rows of a batch, the change row, and last the sandbox's row, fenced by epoch and base.
#include "schema.hpp"

namespace sboxfs::schema {

const char kCommitBatch[] = R"sql(
-- SB001: epoch or base did not match (somebody else has the lease, or has had it). SB002: destroyed or unknown.
CREATE FUNCTION sboxfs.refuse_batch(p_tenant text, p_sandbox uuid) RETURNS void LANGUAGE plpgsql AS $fn$
BEGIN
  IF EXISTS (SELECT FROM sboxfs.sandboxes s
              WHERE s.tenant = p_tenant AND s.id = p_sandbox AND s.destroyed_at IS NULL) THEN
    RAISE EXCEPTION 'the right to write this sandbox was lost' USING ERRCODE = 'SB001';
  END IF;
  RAISE EXCEPTION 'the sandbox was destroyed' USING ERRCODE = 'SB002';
END
$fn$;

-- Rows to delete are found by LATERAL ... OFFSET 0, each by its whole key, whatever the statistics say.
CREATE FUNCTION sboxfs.commit_batch(
  p_tenant text, p_sandbox uuid, p_session uuid, p_epoch bigint, p_base bigint, p_base_batch uuid, p_batch uuid,
  p_body bytea, p_published bigint, p_lease_ns bigint, p_used_blocks bigint, p_used_inodes bigint,
  i_ino bigint[], i_mode integer[], i_uid integer[], i_gid integer[], i_nlink integer[], i_rdev integer[],
  i_flags integer[], i_size bigint[], i_blocks bigint[], i_atime bigint[], i_mtime bigint[], i_ctime bigint[],
  i_parent bigint[], i_target bytea[],
  u_parent bigint[], u_cookie bigint[], u_name bytea[],
  d_parent bigint[], d_cookie bigint[], d_name bytea[], d_ino bigint[], d_type integer[],
  t_ino bigint[], t_from integer[],
  h_ino bigint[], h_idx integer[],
  c_ino bigint[], c_idx integer[], c_mask integer[], c_blob bytea[],
  p_ino bigint[], p_idx integer[], p_mask integer[], p_start integer[], p_data bytea[],
  r_inos bigint[], r_ino bigint[], r_start bigint[], r_stop bigint[],
  y_ino bigint[], y_name bytea[],
  x_ino bigint[], x_name bytea[], x_value bytea[],
  o_ino bigint[], g_ino bigint[], n_ino bigint[],
  OUT published bigint, OUT alone boolean
) LANGUAGE plpgsql AS $fn$
DECLARE
  next_version constant bigint := p_base + 1;
BEGIN
  IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
    PERFORM set_config('synchronous_commit', 'on', true);
  END IF;

  -- The update of the row decides. But where somebody else has committed on this base, an insert would fail before that,
  -- as a duplicate, again and again.
  IF NOT EXISTS (SELECT FROM sboxfs.sandboxes s
                  WHERE s.tenant = p_tenant AND s.id = p_sandbox AND s.epoch = p_epoch AND s.version = p_base
                    AND s.batch = p_base_batch AND s.destroyed_at IS NULL) THEN
    PERFORM sboxfs.refuse_batch(p_tenant, p_sandbox);
  END IF;

  IF cardinality(i_ino) > 0 THEN
    INSERT INTO sboxfs.inodes AS old (tenant, sandbox, ino, mode, uid, gid, nlink, rdev, flags, size, blocks, atime,
                                      mtime, ctime, parent, target)
    SELECT p_tenant, p_sandbox, n.ino, n.mode, n.uid, n.gid, n.nlink, n.rdev, n.flags, n.size, n.blocks, n.atime,
           n.mtime, n.ctime, nullif(n.parent, 0), nullif(n.target, '')
      FROM unnest(i_ino, i_mode, i_uid, i_gid, i_nlink, i_rdev, i_flags, i_size, i_blocks, i_atime, i_mtime, i_ctime,
                  i_parent, i_target)
        AS n (ino, mode, uid, gid, nlink, rdev, flags, size, blocks, atime, mtime, ctime, parent, target)
    ON CONFLICT (tenant, sandbox, ino) DO UPDATE SET
      mode = EXCLUDED.mode, uid = EXCLUDED.uid, gid = EXCLUDED.gid, nlink = EXCLUDED.nlink, rdev = EXCLUDED.rdev,
      flags = EXCLUDED.flags, size = EXCLUDED.size, blocks = EXCLUDED.blocks, atime = EXCLUDED.atime,
      mtime = EXCLUDED.mtime, ctime = EXCLUDED.ctime, parent = EXCLUDED.parent, target = EXCLUDED.target;
  END IF;

  IF cardinality(u_parent) > 0 THEN
    PERFORM sboxfs.delete_rows('sboxfs.dirents', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(u_parent, u_cookie, u_name) AS u (parent, cookie, name)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.dirents r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.parent = u.parent
                              AND r.cookie = u.cookie AND r.name = u.name OFFSET 0) d));
  END IF;
  IF cardinality(d_parent) > 0 THEN
    INSERT INTO sboxfs.dirents (tenant, sandbox, parent, cookie, name, ino, type)
    SELECT p_tenant, p_sandbox, n.* FROM unnest(d_parent, d_cookie, d_name, d_ino, d_type) AS n
    ON CONFLICT (tenant, sandbox, parent, cookie, name) DO UPDATE SET ino = EXCLUDED.ino, type = EXCLUDED.type;
  END IF;

  IF cardinality(t_ino) > 0 THEN
    PERFORM sboxfs.delete_rows('sboxfs.patches', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(t_ino, t_from) AS t (ino, start)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.patches r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.ino = t.ino
                              AND r.idx >= t.start OFFSET 0) d));
    PERFORM sboxfs.delete_rows('sboxfs.chunks', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(t_ino, t_from) AS t (ino, start)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.chunks r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.ino = t.ino
                              AND r.idx >= t.start OFFSET 0) d));
  END IF;
  IF cardinality(h_ino) > 0 THEN  -- holes
    PERFORM sboxfs.delete_rows('sboxfs.patches', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(h_ino, h_idx) AS h (ino, idx)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.patches r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.ino = h.ino
                              AND r.idx = h.idx OFFSET 0) d));
    PERFORM sboxfs.delete_rows('sboxfs.chunks', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(h_ino, h_idx) AS h (ino, idx)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.chunks r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.ino = h.ino
                              AND r.idx = h.idx OFFSET 0) d));
  END IF;
  IF cardinality(c_ino) > 0 THEN
    PERFORM sboxfs.delete_rows('sboxfs.patches', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(c_ino, c_idx) AS c (ino, idx)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.patches r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.ino = c.ino
                              AND r.idx = c.idx OFFSET 0) d));
    INSERT INTO sboxfs.chunks (tenant, sandbox, ino, idx, mask, blob)
    SELECT p_tenant, p_sandbox, n.ino, n.idx, n.mask, nullif(n.blob, '')
      FROM unnest(c_ino, c_idx, c_mask, c_blob) AS n (ino, idx, mask, blob)
    ON CONFLICT (tenant, sandbox, ino, idx) DO UPDATE SET mask = EXCLUDED.mask, blob = EXCLUDED.blob;
  END IF;
  IF cardinality(p_ino) > 0 THEN
    INSERT INTO sboxfs.chunks (tenant, sandbox, ino, idx, mask)
    SELECT p_tenant, p_sandbox, n.* FROM unnest(p_ino, p_idx, p_mask) AS n
    ON CONFLICT (tenant, sandbox, ino, idx) DO UPDATE SET mask = EXCLUDED.mask;
    INSERT INTO sboxfs.patches (tenant, sandbox, ino, idx, version, start, data)
    SELECT p_tenant, p_sandbox, n.ino, n.idx, next_version, n.start, n.data
      FROM unnest(p_ino, p_idx, p_start, p_data) AS n (ino, idx, start, data);
  END IF;

  IF cardinality(r_inos) > 0 THEN
    DELETE FROM sboxfs.ranges WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (r_inos);
    INSERT INTO sboxfs.ranges (tenant, sandbox, ino, start, stop)
    SELECT p_tenant, p_sandbox, n.* FROM unnest(r_ino, r_start, r_stop) AS n;
  END IF;
  IF cardinality(y_ino) > 0 THEN
    PERFORM sboxfs.delete_rows('sboxfs.xattrs', p_tenant, p_sandbox, ARRAY(
      SELECT d.ctid FROM unnest(y_ino, y_name) AS y (ino, name)
       CROSS JOIN LATERAL (SELECT r.ctid FROM sboxfs.xattrs r
                            WHERE r.tenant = p_tenant AND r.sandbox = p_sandbox AND r.ino = y.ino
                              AND r.name = y.name OFFSET 0) d));
  END IF;
  IF cardinality(x_ino) > 0 THEN
    INSERT INTO sboxfs.xattrs (tenant, sandbox, ino, name, value)
    SELECT p_tenant, p_sandbox, n.* FROM unnest(x_ino, x_name, x_value) AS n
    ON CONFLICT (tenant, sandbox, ino, name) DO UPDATE SET value = EXCLUDED.value;
  END IF;

  IF cardinality(o_ino) > 0 THEN
    INSERT INTO sboxfs.orphans (tenant, sandbox, ino, unlinked_version)
    SELECT p_tenant, p_sandbox, ino, next_version FROM unnest(o_ino) AS ino
    ON CONFLICT (tenant, sandbox, ino) DO NOTHING;
    INSERT INTO sboxfs.pins (tenant, sandbox, ino, session, version)
    SELECT p_tenant, p_sandbox, ino, p_session, next_version FROM unnest(o_ino) AS ino
    ON CONFLICT (tenant, sandbox, ino, session) DO UPDATE SET version = EXCLUDED.version;
  END IF;
  IF cardinality(n_ino) > 0 THEN
    DELETE FROM sboxfs.pins
     WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (n_ino) AND session = p_session;
    -- One that has got a name is no orphan any more.
    DELETE FROM sboxfs.orphans o
     WHERE o.tenant = p_tenant AND o.sandbox = p_sandbox AND o.ino = ANY (n_ino)
       AND EXISTS (SELECT FROM sboxfs.inodes i
                    WHERE i.tenant = p_tenant AND i.sandbox = p_sandbox AND i.ino = o.ino AND i.nlink > 0);
  END IF;

  UPDATE sboxfs.sandboxes s
     SET version = next_version, batch = p_batch,
         published_version = greatest(s.published_version, least(p_published, s.version)),
         used_blocks = greatest(0, s.used_blocks + p_used_blocks),
         used_inodes = greatest(1, s.used_inodes + p_used_inodes),
         lease_until = CASE WHEN s.lease_until IS NOT NULL
                            THEN greatest(s.lease_until, clock_timestamp() + make_interval(secs => p_lease_ns / 1e9)) END
   WHERE s.tenant = p_tenant AND s.id = p_sandbox AND s.epoch = p_epoch AND s.version = p_base
     AND s.batch = p_base_batch AND s.destroyed_at IS NULL
  RETURNING s.published_version INTO published;
  IF NOT FOUND THEN
    PERFORM sboxfs.refuse_batch(p_tenant, p_sandbox);
  END IF;

  INSERT INTO sboxfs.changes (tenant, sandbox, version, batch, epoch, session, body)
  VALUES (p_tenant, p_sandbox, next_version, p_batch, p_epoch, p_session, p_body);

  alone := NOT EXISTS (SELECT FROM sboxfs.sessions e
                        WHERE e.tenant = p_tenant AND e.sandbox = p_sandbox AND e.session <> p_session
                          AND e.alive_until > clock_timestamp());
  -- The row's lock keeps new sessions out (they open under FOR SHARE), so who is alive now is all there is.
  IF cardinality(g_ino) > 0 THEN
    IF NOT alone THEN
      INSERT INTO sboxfs.orphans (tenant, sandbox, ino, unlinked_version)
      SELECT p_tenant, p_sandbox, ino, next_version FROM unnest(g_ino) AS ino
      ON CONFLICT (tenant, sandbox, ino) DO NOTHING;
      -- Who has it open reads the row again.
      UPDATE sboxfs.inodes SET nlink = 0
       WHERE tenant = p_tenant AND sandbox = p_sandbox AND ino = ANY (g_ino) AND nlink <> 0;
    ELSE
      -- Above 1 GiB of blocks the rows are too many for a commit: the janitor's, in steps.
      INSERT INTO sboxfs.orphans (tenant, sandbox, ino, unlinked_version)
      SELECT p_tenant, p_sandbox, i.ino, next_version FROM sboxfs.inodes i
       WHERE i.tenant = p_tenant AND i.sandbox = p_sandbox AND i.ino = ANY (g_ino) AND i.blocks > 262144
      ON CONFLICT (tenant, sandbox, ino) DO NOTHING;
      PERFORM sboxfs.delete_inodes(p_tenant, p_sandbox, ARRAY(
        SELECT i.ino FROM sboxfs.inodes i
         WHERE i.tenant = p_tenant AND i.sandbox = p_sandbox AND i.ino = ANY (g_ino) AND i.blocks <= 262144));
    END IF;
  END IF;
END
$fn$;
)sql";

}  // namespace sboxfs::schema
