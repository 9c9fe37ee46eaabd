-- Asked only by an audit, on the same session as the account and the preflight. Two queries, each sent by itself: rules of
-- pg_hba.conf are not for every role, and what is refused takes nothing else with it.
--
-- Settings as a new session of this role in this database gets them (reset_val), login roles, what is set for roles and
-- databases (values of other settings than these are passed over by the reader), and who owns what was made here.
SELECT 'setting', ROW(name, reset_val, unit, boot_val, source, sourcefile)::pg_catalog.text
FROM pg_catalog.pg_show_all_settings() WHERE name OPERATOR(pg_catalog.=) ANY (ARRAY[{NAMES}]::pg_catalog.text[])
UNION ALL
(SELECT 'role', ROW(rolname, oid OPERATOR(pg_catalog.=) 10, rolsuper, rolreplication, rolconnlimit,
  CASE WHEN pg_catalog.isfinite(rolvaliduntil) THEN rolvaliduntil END,
  pg_catalog.pg_has_role(oid, pg_catalog.to_regrole('pg_monitor'), 'MEMBER'),
  pg_catalog.pg_has_role(oid, pg_catalog.to_regrole('pg_signal_backend'), 'MEMBER'),
  pg_catalog.pg_has_role(oid, pg_catalog.to_regrole('pg_use_reserved_connections'), 'USAGE'))::pg_catalog.text
FROM pg_catalog.pg_roles WHERE rolcanlogin LIMIT 1000)
UNION ALL
SELECT 'set_for', ROW((SELECT datname FROM pg_catalog.pg_database WHERE pg_database.oid OPERATOR(pg_catalog.=) setdatabase),
  CASE WHEN setrole OPERATOR(pg_catalog.<>) 0 THEN pg_catalog.pg_get_userbyid(setrole) END,
  pg_catalog.unnest(setconfig))::pg_catalog.text
FROM pg_catalog.pg_db_role_setting
UNION ALL
-- Of a very large catalogue it is not asked, as in the account.
SELECT 'owner', ROW(pg_catalog.pg_get_userbyid(relowner), pg_catalog.count(*))::pg_catalog.text
FROM pg_catalog.pg_class
WHERE oid OPERATOR(pg_catalog.>=) 16384 AND relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','S','v','m']::"char"[])
  AND pg_catalog.pg_relation_size(1259) OPERATOR(pg_catalog.<) 4000000
GROUP BY relowner;
SELECT 'rule', ROW({HBA_FILE}, line_number, type, pg_catalog.array_to_string(database, ','),
  pg_catalog.array_to_string(user_name, ','), address, netmask, auth_method)::pg_catalog.text
FROM pg_catalog.pg_hba_file_rules() WHERE error IS NULL LIMIT 500;
