-- Every backend, once. A role without pg_read_all_stats gets NULL for most columns of other roles' sessions.
WITH a AS MATERIALIZED (
  SELECT s.datid, s.pid, s.usesysid, s.application_name, s.state, s.query, s.wait_event_type, s.wait_event,
    s.backend_type, s.backend_start,
    CASE WHEN s.client_port OPERATOR(pg_catalog.=) -1 THEN '[local]'
      ELSE COALESCE(pg_catalog.host(s.client_addr), '') END AS client,
    {SINCE} s.state_change {MS} AS state_ms, {SINCE} s.xact_start {MS} AS xact_ms, {SINCE} s.query_start {MS} AS query_ms,
    s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
      OR s.application_name OPERATOR(pg_catalog.=) 'pgmedic' AS own,
    COALESCE(s.backend_type OPERATOR(pg_catalog.=) 'client backend',
      s.datid IS NOT NULL AND s.usesysid IS NOT NULL) AS client_backend
  FROM pg_catalog.pg_stat_get_activity(NULL) s
),
d AS MATERIALIZED (
  SELECT oid, datname, datconnlimit, datallowconn, datistemplate,
    pg_catalog.age(datfrozenxid) AS xids, pg_catalog.mxid_age(datminmxid) AS mxids
  FROM pg_catalog.pg_database
),
-- Roles that differ from most: superusers, and those with a limit.
r AS MATERIALIZED (
  SELECT oid, rolname, rolsuper, rolconnlimit FROM pg_catalog.pg_roles
  WHERE rolsuper OR rolconnlimit OPERATOR(pg_catalog.>=) 0
),
me AS MATERIALIZED (
  SELECT pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' AS superuser,
    COALESCE(pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_stats'), '{STATS}'), false) AS stats,
    COALESCE(pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_settings'), 'USAGE'), false) AS settings,
    COALESCE(pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_signal_backend'), 'USAGE'), false) AS signals,
    pg_catalog.pg_is_in_recovery() AS standby
),
n AS MATERIALIZED (
  SELECT pg_catalog.count(*) FILTER (WHERE client_backend) AS client_backends,
    pg_catalog.count(*) FILTER (WHERE client_backend AND own) AS own,
    pg_catalog.count(*) FILTER (WHERE wait_event_type OPERATOR(pg_catalog.=) 'Lock') AS lock_waiters,
    pg_catalog.count(*) FILTER (WHERE client_backend AND NOT own
      AND pg_catalog.starts_with(state, 'idle in transaction')) AS idle_in_transaction,
    pg_catalog.count(*) FILTER (WHERE client_backend AND NOT own
      AND state OPERATOR(pg_catalog.=) 'active') AS active,
    pg_catalog.count(*) FILTER (WHERE client_backend AND NOT own
      AND state OPERATOR(pg_catalog.=) 'idle') AS idle
  FROM a
),
-- Who waits for a lock, longest first. pg_blocking_pids() takes every partition of the lock manager: at most 100 calls.
-- A blocker that itself waits may have begun to wait after those it blocks, so after the 80 longest waiters come the
-- waiting ones among their blockers (without them no root is certain), then the newest.
w AS MATERIALIZED (
  SELECT pid, query_ms FROM a WHERE wait_event_type OPERATOR(pg_catalog.=) 'Lock' AND NOT own
),
x AS MATERIALIZED (
  SELECT o.pid, pg_catalog.pg_blocking_pids(o.pid) AS blocked_by
  FROM (SELECT pid FROM w ORDER BY query_ms DESC NULLS LAST LIMIT 80) o
),
y AS MATERIALIZED (
  SELECT pid, blocked_by FROM x
  UNION ALL
  SELECT o.pid, pg_catalog.pg_blocking_pids(o.pid)
  FROM (
    SELECT pid FROM w WHERE NOT EXISTS (SELECT FROM x WHERE x.pid OPERATOR(pg_catalog.=) w.pid)
    ORDER BY EXISTS (SELECT FROM x WHERE w.pid OPERATOR(pg_catalog.=) ANY (x.blocked_by)) DESC, query_ms
    LIMIT 20
  ) o
),
b AS MATERIALIZED (
  SELECT DISTINCT u.pid FROM y CROSS JOIN LATERAL pg_catalog.unnest(y.blocked_by) u(pid)
),
p AS MATERIALIZED (
  SELECT t.transaction, t.gid, t.prepared, t.ownerid, t.dbid FROM pg_catalog.pg_prepared_xact() t
),
-- Not run unless somebody waits or a transaction is prepared. Which columns are not NULL follows from the locktype, so
-- that `object` is one name for one thing. A prepared transaction's rows have no pid.
l AS MATERIALIZED (
  SELECT k.pid, k.mode, k.granted, k.locktype, k.page, k.tuple, k.transactionid, k.virtualtransaction,
    CASE WHEN k.relation IS NULL THEN NULL
      WHEN k.database OPERATOR(pg_catalog.=) 0
        OR k.database OPERATOR(pg_catalog.=)
          (SELECT oid FROM d WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
      THEN k.relation::pg_catalog.regclass::pg_catalog.text
      ELSE k.relation::pg_catalog.text END AS relation,
    pg_catalog.concat_ws('/', k.locktype, k.database, k.relation, k.page, k.tuple, k.virtualxid, k.transactionid,
      k.classid, k.objid, k.objsubid) AS object
  FROM pg_catalog.pg_lock_status() k
  WHERE (EXISTS (SELECT FROM w) OR EXISTS (SELECT FROM p))
    AND (k.pid IS NULL OR NOT k.granted OR k.locktype OPERATOR(pg_catalog.=) 'advisory'
      OR k.locktype OPERATOR(pg_catalog.=) 'relation' AND k.pid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pid FROM b)))
),
o AS MATERIALIZED (SELECT DISTINCT object FROM l WHERE NOT granted),
-- Sessions worth naming, by class: blockers, waiters, idle in transaction, active for over a second, idle.
c AS MATERIALIZED (
  SELECT a.*, CASE
      WHEN pid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pid FROM b)) THEN 0
      WHEN wait_event_type OPERATOR(pg_catalog.=) 'Lock' THEN 1
      WHEN NOT client_backend THEN NULL
      WHEN pg_catalog.starts_with(state, 'idle in transaction') THEN 2
      WHEN state OPERATOR(pg_catalog.=) 'idle' THEN 4
      WHEN query_ms OPERATOR(pg_catalog.>) 1000 THEN 3 END AS class
  FROM a WHERE NOT own
)
SELECT pg_catalog.encode(pg_catalog.decode(pg_catalog.replace(pg_catalog.json_build_object(
'facts', pg_catalog.json_build_object(
  'version_num', pg_catalog.current_setting('server_version_num')::int,
  'me', pg_catalog.json_build_object(
    'role', CURRENT_USER,
    'database', pg_catalog.current_database(),
    'pid', pg_catalog.pg_backend_pid(),
    'superuser', me.superuser,
    'sees_all', me.superuser OR me.stats,
    'may_signal', me.superuser OR me.signals),
  'admission', pg_catalog.json_build_object(
    'max_connections', pg_catalog.current_setting('max_connections')::int,
    'superuser_reserved', pg_catalog.current_setting('superuser_reserved_connections')::int,
    'reserved', COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::int,
    'client_backends', n.client_backends,
    'own', n.own,
    'role_limits', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
      SELECT r.rolname AS name, r.rolconnlimit AS limit, pg_catalog.count(a.pid) AS used, true AS allows
      FROM r LEFT JOIN a ON a.usesysid OPERATOR(pg_catalog.=) r.oid AND (a.client_backend {WALSENDERS})
      WHERE NOT r.rolsuper
      GROUP BY r.rolname, r.rolconnlimit
      ORDER BY pg_catalog.count(a.pid) OPERATOR(pg_catalog.-) r.rolconnlimit DESC LIMIT 50) t),
    'database_limits', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
      SELECT d.datname AS name, d.datconnlimit AS limit, pg_catalog.count(a.pid) AS used, d.datallowconn AS allows
      FROM d LEFT JOIN a ON a.datid OPERATOR(pg_catalog.=) d.oid AND (a.client_backend {WALSENDERS})
      WHERE d.datname OPERATOR(pg_catalog.<>) 'template0'
        AND (d.datconnlimit OPERATOR(pg_catalog.<>) -1 OR NOT d.datallowconn)
      GROUP BY d.datname, d.datconnlimit, d.datallowconn
      ORDER BY d.datallowconn, pg_catalog.count(a.pid) OPERATOR(pg_catalog.-) d.datconnlimit DESC LIMIT 50) t),
    'groups', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
      SELECT g.application_name AS application, COALESCE(pg_catalog.pg_get_userbyid(g.usesysid), '') AS role,
        COALESCE(d.datname, '') AS database, g.client, g.state, g.count, g.oldest_state_ms, g.over_idle_after
      FROM (SELECT application_name, usesysid, datid, client, state, pg_catalog.count(*) AS count,
          pg_catalog.max(state_ms) AS oldest_state_ms,
          pg_catalog.count(*) FILTER (WHERE state_ms OPERATOR(pg_catalog.>) {IDLE_AFTER_MS}) AS over_idle_after
        FROM a WHERE client_backend AND NOT own
        GROUP BY application_name, usesysid, datid, client, state
        ORDER BY pg_catalog.count(*) DESC LIMIT 50) g
      LEFT JOIN d ON d.oid OPERATOR(pg_catalog.=) g.datid
      ORDER BY g.count DESC) t)),
  'server', pg_catalog.json_build_object(
    'uptime_ms', {SINCE} pg_catalog.pg_postmaster_start_time() {MS},
    'in_recovery', me.standby,
    'transaction_read_only', pg_catalog.current_setting('transaction_read_only') OPERATOR(pg_catalog.=) 'on',
    'default_transaction_read_only',
      pg_catalog.current_setting('default_transaction_read_only') OPERATOR(pg_catalog.=) 'on',
    'read_only_set_for', (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_array(COALESCE(d.datname, ''),
        CASE WHEN t.setrole OPERATOR(pg_catalog.=) 0 THEN '' ELSE pg_catalog.pg_get_userbyid(t.setrole) END)), '[]')
      FROM (SELECT s.setdatabase, s.setrole FROM pg_catalog.pg_db_role_setting s
          CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) u(setting)
        WHERE pg_catalog.starts_with(u.setting, 'default_transaction_read_only=')
          AND pg_catalog.lower(pg_catalog.split_part(u.setting, '=', 2)) OPERATOR(pg_catalog.=)
            ANY ('{on,t,tr,tru,true,y,ye,yes,1}'::pg_catalog.text[]) LIMIT 50) t
      LEFT JOIN d ON d.oid OPERATOR(pg_catalog.=) t.setdatabase),
    'replay_lag_ms', CASE WHEN me.standby THEN {SINCE} pg_catalog.pg_last_xact_replay_timestamp() {MS} END,
    'receiving', (SELECT CASE WHEN v.pid IS NULL THEN false ELSE v.status OPERATOR(pg_catalog.=) 'streaming' END
      FROM pg_catalog.pg_stat_get_wal_receiver() v WHERE me.standby),
    -- A setting can only come to wait for a restart when the configuration is read again.
    'pending_restart', (SELECT COALESCE(pg_catalog.json_agg(t.name), '[]')
      FROM (SELECT s.name FROM pg_catalog.pg_show_all_settings() s
        WHERE pg_catalog.pg_conf_load_time() OPERATOR(pg_catalog.>) pg_catalog.pg_postmaster_start_time()
          AND s.pending_restart LIMIT 50) t),
    'system_identifier', (SELECT s.system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system() s),
    'oldest_xid', (SELECT pg_catalog.json_build_array(datname, GREATEST(xids, 0)) FROM d ORDER BY xids DESC LIMIT 1),
    'oldest_mxid', (SELECT pg_catalog.json_build_array(datname, GREATEST(mxids, 0)) FROM d ORDER BY mxids DESC LIMIT 1),
    'freeze_max_age', pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint),
  'sessions', pg_catalog.json_build_object(
    'sessions', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
      SELECT c.pid,
        COALESCE(pg_catalog.to_char(c.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '')
          AS backend_start,
        c.backend_type, c.application_name AS application,
        COALESCE(pg_catalog.pg_get_userbyid(c.usesysid), '') AS role, COALESCE(d.datname, '') AS database,
        c.client, c.state, c.wait_event_type, c.wait_event, c.state_ms, c.xact_ms, c.query_ms,
        -- Another database's text may end within a character of this one's encoding; left() must not look past it.
        COALESCE(pg_catalog.left(pg_catalog.concat(c.query, '    '), 400), '') AS query,
        r.oid IS NOT NULL AS superuser, false AS advisory
      FROM (SELECT c.*, pg_catalog.row_number() OVER (PARTITION BY c.class
            ORDER BY CASE WHEN c.class OPERATOR(pg_catalog.<=) 1 THEN c.query_ms ELSE c.state_ms END DESC NULLS LAST)
            AS place
          FROM c WHERE c.class IS NOT NULL
          ORDER BY c.class OPERATOR(pg_catalog.>) 0, place, c.class LIMIT 200) c
        LEFT JOIN d ON d.oid OPERATOR(pg_catalog.=) c.datid
        LEFT JOIN r ON r.oid OPERATOR(pg_catalog.=) c.usesysid AND r.rolsuper
      ORDER BY c.class OPERATOR(pg_catalog.>) 0, c.place, c.class) t),
    'lock_waiters', n.lock_waiters,
    'waits', (SELECT COALESCE(pg_catalog.json_agg(y), '[]') FROM y),
    'prepared', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
      SELECT p.gid, pg_catalog.pg_get_userbyid(p.ownerid) AS owner, COALESCE(d.datname, '') AS database,
        {SINCE} p.prepared {MS} AS age_ms, 0 AS blocks
      FROM p LEFT JOIN d ON d.oid OPERATOR(pg_catalog.=) p.dbid ORDER BY p.prepared, p.gid LIMIT 50) t),
    'prepared_total', (SELECT pg_catalog.count(*) FROM p),
    'idle_in_transaction', n.idle_in_transaction,
    'active', n.active,
    'idle', n.idle),
  'storage', pg_catalog.json_build_object(
    'data_directory', CASE WHEN me.superuser OR me.settings
      THEN pg_catalog.current_setting('data_directory', true) END,
    -- It asks the filesystem for every file: not where pg_class says that there are very many.
    'database_bytes', CASE WHEN pg_catalog.pg_relation_size('pg_catalog.pg_class'::pg_catalog.regclass)
        OPERATOR(pg_catalog.<) 4000000
      AND (me.stats OR pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT'))
      THEN pg_catalog.pg_database_size(pg_catalog.current_database()) END,
    'temp_bytes', {TEMP_BYTES},
    'max_slot_wal_keep_bytes', CASE WHEN pg_catalog.current_setting('max_slot_wal_keep_size', true)
        OPERATOR(pg_catalog.<>) '-1'
      THEN pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_slot_wal_keep_size', true)) END,
    'max_wal_bytes', pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')),
    'slots', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
      SELECT s.slot_name AS name, s.slot_type AS kind, d.datname AS database, s.active, s.temporary,
        {SLOT_COLUMNS},
        CASE WHEN s.restart_lsn IS NOT NULL THEN GREATEST(pg_catalog.pg_wal_lsn_diff(
          CASE WHEN me.standby
            THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
            ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn), 0) END AS retained_bytes,
        GREATEST(pg_catalog.age(s.xmin), pg_catalog.age(s.catalog_xmin)) AS xmin_age
      FROM pg_catalog.pg_get_replication_slots() s LEFT JOIN d ON d.oid OPERATOR(pg_catalog.=) s.datoid
      ORDER BY s.restart_lsn LIMIT 50) t),
    'archiver', {ARCHIVER})),
'wanted', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
  SELECT pid, mode, locktype, relation, page, tuple, transactionid, object FROM l WHERE NOT granted LIMIT 200) t),
-- One lock of each blocker: what others wait for before anything else, then by strength, tables before their indexes.
'held', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
  SELECT DISTINCT ON (pid) pid, mode, relation FROM l
  WHERE granted AND locktype OPERATOR(pg_catalog.=) 'relation' AND pid IS NOT NULL
  ORDER BY pid, object OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT object FROM o)) DESC,
    pg_catalog.array_position('{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::pg_catalog.text[], mode) DESC,
    pg_catalog.length(object), object
  LIMIT 200) t),
'advisory', (SELECT COALESCE(pg_catalog.json_agg(t.pid), '[]') FROM (
  SELECT DISTINCT pid FROM l WHERE granted AND locktype OPERATOR(pg_catalog.=) 'advisory' AND pid IS NOT NULL
  LIMIT 500) t),
-- A prepared transaction holds a lock on its own id; by that row's virtualtransaction its other rows are known.
'orphaned', (SELECT COALESCE(pg_catalog.json_agg(t), '[]') FROM (
  SELECT p.gid, l.object FROM p
    JOIN l i ON i.transactionid OPERATOR(pg_catalog.=) p.transaction AND i.pid IS NULL
    JOIN l ON l.virtualtransaction OPERATOR(pg_catalog.=) i.virtualtransaction AND l.pid IS NULL
    JOIN o ON o.object OPERATOR(pg_catalog.=) l.object
  LIMIT 500) t)
)::pg_catalog.text, E'\\', E'\\\\'), 'escape'), 'escape')
FROM me, n
