-- Every backend. A role without pg_read_all_stats gets NULL for most columns of other roles' sessions. A pool at rest is
-- told briefly. A text from a database of another encoding may end within what this one takes for a character; left()
-- fails when it has to look past the end.
SELECT 'session', ROW(pid, datid, usesysid, pg_catalog.pg_get_userbyid(usesysid), application_name, state,
  wait_event_type, wait_event, backend_type, client_addr, client_port, backend_start, xact_start, query_start,
  state_change,
  CASE WHEN datid IS NOT NULL THEN pg_catalog.left(pg_catalog.concat(query, '    '),
    CASE WHEN state OPERATOR(pg_catalog.=) 'idle' THEN 100 ELSE 400 END) END)::pg_catalog.text
FROM pg_catalog.pg_stat_get_activity(NULL)
