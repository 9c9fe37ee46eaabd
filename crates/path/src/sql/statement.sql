-- Tagged records in the text of their types' output functions. A backend that has just been forked spends its time on
-- looking up what a statement names: each function, operator, type and relation once, whatever is then asked of it. So
-- nothing is joined, sorted, grouped or named here that the reader can do.
--
-- The two settings hold for this statement alone. DateStyle is the one that bends what the output functions write.
-- To a client of SQL_ASCII the server sends texts as they are: those of other databases' encodings it could not convert,
-- and would refuse the whole answer.
SET LOCAL DateStyle TO ISO;
SET LOCAL client_encoding TO SQL_ASCII;
{SESSIONS}
UNION ALL
SELECT 'prepared', ROW(transaction, gid, prepared, pg_catalog.pg_get_userbyid(ownerid), dbid)::pg_catalog.text
FROM pg_catalog.pg_prepared_xact()
UNION ALL
SELECT 'database', ROW(oid, datname, datconnlimit, datallowconn, pg_catalog.age(datfrozenxid),
  pg_catalog.mxid_age(datminmxid), {TEMP_BYTES})::pg_catalog.text
FROM pg_catalog.pg_database
UNION ALL
-- Roles that differ from most: superusers, and those with a limit.
SELECT 'role', ROW(oid, rolname, rolsuper, rolconnlimit)::pg_catalog.text
FROM pg_catalog.pg_roles WHERE rolsuper OR rolconnlimit OPERATOR(pg_catalog.>=) 0
UNION ALL
SELECT 'set_for', ROW(setdatabase, setrole, pg_catalog.pg_get_userbyid(setrole),
  pg_catalog.unnest(setconfig))::pg_catalog.text
FROM pg_catalog.pg_db_role_setting
UNION ALL
SELECT 'slot', ROW(slot_name, slot_type, datoid, active, temporary, {SLOT_COLUMNS}, restart_lsn,
  pg_catalog.age(xmin), pg_catalog.age(catalog_xmin))::pg_catalog.text
FROM pg_catalog.pg_get_replication_slots()
UNION ALL
-- A setting comes to wait for a restart only when the configuration is read again.
SELECT 'pending_restart', ROW(name)::pg_catalog.text
FROM pg_catalog.pg_show_all_settings()
WHERE pg_catalog.pg_conf_load_time() OPERATOR(pg_catalog.>) pg_catalog.pg_postmaster_start_time() AND pending_restart
UNION ALL
-- Comes last: its time is later than every other.
SELECT 'server', ROW(pg_catalog.clock_timestamp(), pg_catalog.pg_postmaster_start_time(), CURRENT_USER,
  pg_catalog.current_database(), pg_catalog.pg_backend_pid(),
  pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_stats'), '{STATS}'),
  pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_signal_backend'), 'USAGE'),
  pg_catalog.pg_is_in_recovery(), pg_catalog.pg_last_xact_replay_timestamp(),
  CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN COALESCE(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
    ELSE pg_catalog.pg_current_wal_lsn() END,
  (pg_catalog.pg_control_system()).system_identifier, pg_catalog.pg_stat_get_wal_receiver(), {ARCHIVER},
  {DATABASE_BYTES},
  {SETTINGS}
  -- The only one that not everybody may see.
  CASE WHEN pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'
      OR pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_settings'), 'USAGE')
    THEN pg_catalog.current_setting('data_directory', true) END)::pg_catalog.text
