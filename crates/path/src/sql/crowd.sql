-- In the sessions' place where nothing is amiss: they are counted on the server, by single columns. What pg_stat_activity
-- shows of each costs it several times as much to write down. Those at rest for long and those that came lately are counted
-- by themselves; what waits for a lock has a wait_event in small letters.
SELECT 'crowd', ROW(d, u, pg_catalog.pg_get_userbyid(u), e, pg_catalog.count(*), pg_catalog.count(x),
  pg_catalog.min(x), pg_catalog.min(q),
  pg_catalog.count(*) FILTER (WHERE COALESCE(q, s) OPERATOR(pg_catalog.<)
    (SELECT pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '{IDLE_AFTER} ms'::pg_catalog.interval)),
  pg_catalog.count(*) FILTER (WHERE s OPERATOR(pg_catalog.>)
    (SELECT pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '10 s'::pg_catalog.interval)),
  pg_catalog.count(*) FILTER (WHERE s OPERATOR(pg_catalog.>)
    (SELECT pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) '1 s'::pg_catalog.interval)))::pg_catalog.text
FROM (
  SELECT pg_catalog.pg_stat_get_backend_dbid(b) AS d, pg_catalog.pg_stat_get_backend_userid(b) AS u,
    pg_catalog.pg_stat_get_backend_wait_event(b) AS e, pg_catalog.pg_stat_get_backend_xact_start(b) AS x,
    pg_catalog.pg_stat_get_backend_activity_start(b) AS q, pg_catalog.pg_stat_get_backend_start(b) AS s
  FROM pg_catalog.pg_stat_get_backend_idset() b OFFSET 0
) c
GROUP BY d, u, e
