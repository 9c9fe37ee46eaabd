-- Every backend, once. A role without pg_read_all_stats gets NULL for most columns of other roles' sessions. Times in
-- microseconds of the epoch: neither TimeZone nor extra_float_digits can bend them.
WITH a AS MATERIALIZED (
  SELECT s.pid, s.datid, s.usesysid, s.application_name, s.state, s.query, s.wait_event_type, s.wait_event,
    s.backend_type, s.client_addr, s.client_port OPERATOR(pg_catalog.=) -1 AS local,
    {US}s.backend_start{/US} AS started, {US}s.xact_start{/US} AS xact, {US}s.query_start{/US} AS asked,
    {US}s.state_change{/US} AS since,
    s.application_name OPERATOR(pg_catalog.=) 'pgmedic'
      OR s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AS own
  FROM pg_catalog.pg_stat_get_activity(NULL) s
),
-- Who waits for a lock. pg_blocking_pids() locks every partition of the lock manager: at most 100 calls. Whoever is
-- ahead in a queue came to it before, so the longest waiters first. A holder may have come to wait for something else
-- later than those whom it hinders: the waiting blockers of those 80 come next, for without them no root is certain.
w AS MATERIALIZED (
  SELECT pid, asked FROM a WHERE wait_event_type OPERATOR(pg_catalog.=) 'Lock'
),
x AS MATERIALIZED (
  SELECT t.pid, pg_catalog.pg_blocking_pids(t.pid) AS blocked_by
  FROM (SELECT pid FROM w ORDER BY asked LIMIT 80) t
),
y AS MATERIALIZED (
  SELECT pid, blocked_by FROM x
  UNION ALL
  SELECT t.pid, pg_catalog.pg_blocking_pids(t.pid)
  FROM (
    SELECT pid FROM w WHERE NOT EXISTS (SELECT FROM x WHERE x.pid OPERATOR(pg_catalog.=) w.pid)
    ORDER BY EXISTS (SELECT FROM x WHERE w.pid OPERATOR(pg_catalog.=) ANY (x.blocked_by)) DESC, asked DESC LIMIT 20
  ) t
),
p AS MATERIALIZED (
  SELECT t.transaction, t.gid, {US}t.prepared{/US} AS prepared, t.ownerid, t.dbid FROM pg_catalog.pg_prepared_xact() t
),
-- Not run unless somebody waits or a transaction is prepared.
l AS MATERIALIZED (
  SELECT * FROM pg_catalog.pg_lock_status() WHERE EXISTS (SELECT FROM w) OR EXISTS (SELECT FROM p)
)
-- ASCII, whatever stands in it: texts of other databases' encodings could not be converted for the client, and would make
-- the whole statement fail. quote_literal() doubles backslashes for decode() byte by byte; replace() goes by characters,
-- and takes the backslash after a stray byte for a part of one.
SELECT pg_catalog.encode(pg_catalog.decode(pg_catalog.quote_literal(pg_catalog.json_build_object(
'now', {US}pg_catalog.clock_timestamp(){/US},
'started', {US}pg_catalog.pg_postmaster_start_time(){/US},
'role', CURRENT_USER,
'database', pg_catalog.current_database(),
'pid', pg_catalog.pg_backend_pid(),
'stats', pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_stats'), '{STATS}'),
'signals', pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_signal_backend'), 'USAGE'),
'standby', pg_catalog.pg_is_in_recovery(),
'settings', pg_catalog.json_build_object(
  {SETTINGS}
  -- The only one that not everybody may see.
  'data_directory', CASE WHEN pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'
      OR pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_settings'), 'USAGE')
    THEN pg_catalog.current_setting('data_directory', true) END),
'groups', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT application_name AS application, usesysid AS role_id, pg_catalog.pg_get_userbyid(usesysid) AS role, datid,
    client_addr, local, state, backend_type, own, wait_event_type OPERATOR(pg_catalog.=) 'Lock' AS waits,
    pg_catalog.count(*) AS count, pg_catalog.min(since) AS since,
    pg_catalog.count(*) FILTER (WHERE since OPERATOR(pg_catalog.<)
      ({US}pg_catalog.now(){/US} OPERATOR(pg_catalog.-) {IDLE_AFTER_US})) AS over_idle_after
  FROM a GROUP BY 1, 2, 4, 5, 6, 7, 8, 9, 10 LIMIT 4000) t),
-- The oldest transactions first, then whoever idles longest. What blocks others is as a rule an old transaction. The
-- time this takes goes by its bytes: a pool at rest is told briefly.
'sessions', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT pid, datid, usesysid AS role_id, application_name AS application, state, wait_event_type, wait_event,
    backend_type, client_addr, local, started, xact, asked, since,
    -- A text from a database of another encoding may end within what this one takes for a character; left() fails when
    -- it has to look past the end.
    pg_catalog.left(pg_catalog.concat(query, '    '),
      CASE WHEN state OPERATOR(pg_catalog.=) 'idle' THEN 100 ELSE 400 END) AS query
  FROM a WHERE datid IS NOT NULL AND NOT own ORDER BY xact, since LIMIT 250) t),
'waits', (SELECT pg_catalog.json_agg(y) FROM y),
'prepared', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT transaction, gid, prepared, pg_catalog.pg_get_userbyid(ownerid) AS owner, dbid FROM p
  ORDER BY prepared LIMIT 50) t),
'prepared_total', (SELECT pg_catalog.count(*) FROM p),
-- What is waited for; and of what blockers and prepared transactions hold, that first.
'locks', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT pid, mode, granted, locktype, page, tuple, transactionid, virtualtransaction,
    -- Names are known only for this database and for what all databases share; for the rest the oid stands.
    CASE WHEN database OPERATOR(pg_catalog.=) 0 OR database OPERATOR(pg_catalog.=) (
        SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
      THEN relation::pg_catalog.regclass::pg_catalog.text ELSE relation::pg_catalog.text END AS relation,
    pg_catalog.concat_ws('/', locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
      objsubid) AS object
  FROM l WHERE NOT granted OR locktype OPERATOR(pg_catalog.=) 'advisory' OR pid IS NULL
    OR pid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(blocked_by) FROM y)) AND locktype OPERATOR(pg_catalog.=) 'relation'
  ORDER BY granted, locktype OPERATOR(pg_catalog.<>) 'transactionid',
    relation OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT relation FROM l WHERE NOT granted)) DESC NULLS LAST, pid
  LIMIT 1000) t),
'databases', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT oid, datname AS name, datconnlimit AS connections, datallowconn AS allows,
    pg_catalog.age(datfrozenxid) AS xids, pg_catalog.mxid_age(datminmxid) AS mxids
  FROM pg_catalog.pg_database ORDER BY 5 DESC LIMIT 1000) t),
-- Roles that differ from most: superusers, and those with a limit.
'roles', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT oid, rolname AS name, rolsuper AS superuser, rolconnlimit AS connections FROM pg_catalog.pg_roles
  WHERE rolsuper OR rolconnlimit OPERATOR(pg_catalog.>=) 0 LIMIT 1000) t),
'set_for', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT s.setdatabase AS datid, s.setrole AS role_id, pg_catalog.pg_get_userbyid(s.setrole) AS role, u.setting
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) u(setting)
  WHERE pg_catalog.starts_with(u.setting, 'default_transaction_read_only=') LIMIT 50) t),
-- A setting comes to wait for a restart only when the configuration is read again.
'pending_restart', (SELECT pg_catalog.json_agg(t.name) FROM (
  SELECT name FROM pg_catalog.pg_show_all_settings()
  WHERE pg_catalog.pg_conf_load_time() OPERATOR(pg_catalog.>) pg_catalog.pg_postmaster_start_time()
    AND pending_restart LIMIT 50) t),
'system_identifier', (SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()),
'replayed', {US}pg_catalog.pg_last_xact_replay_timestamp(){/US},
'receiver', (SELECT pg_catalog.json_build_object('pid', pid, 'status', status)
  FROM pg_catalog.pg_stat_get_wal_receiver()),
'slots', (SELECT pg_catalog.json_agg(t) FROM (
  SELECT slot_name AS name, slot_type AS kind, datoid AS datid, active, temporary, {SLOT_COLUMNS},
    pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()
        THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
        ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)::bigint AS retained,
    GREATEST(pg_catalog.age(xmin), pg_catalog.age(catalog_xmin)) AS xmin_age
  FROM pg_catalog.pg_get_replication_slots() ORDER BY restart_lsn LIMIT 50) t),
-- It asks the filesystem for every file: not where pg_class is of a size (4 MB) that says there are very many.
'database_bytes', CASE WHEN pg_catalog.pg_relation_size('pg_catalog.pg_class'::pg_catalog.regclass)
    OPERATOR(pg_catalog.<) 4000000
    AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CONNECT')
  THEN pg_catalog.pg_database_size(pg_catalog.current_database()) END
{STATISTICS}
)::pg_catalog.text), 'escape'), 'escape')
