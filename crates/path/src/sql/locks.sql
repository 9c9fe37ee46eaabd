-- Asked only where somebody waits for a lock or a transaction is prepared. To a client of SQL_ASCII the server sends
-- names as they are.
SET LOCAL client_encoding TO SQL_ASCII;
-- Who waits for a lock. pg_blocking_pids() locks every partition of the lock manager: at most 100 calls. Whoever is
-- ahead in a queue came to it before, so the longest waiters first. A holder may have come to wait for something else
-- later than those whom it hinders: the waiting blockers of those 80 come next, for without them no root is certain.
WITH w AS MATERIALIZED (
  {WAITERS}
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
l AS MATERIALIZED (
  SELECT * FROM pg_catalog.pg_lock_status()
)
SELECT 'wait', ROW(pid, blocked_by)::pg_catalog.text FROM y
UNION ALL
-- What is waited for; and of what blockers and prepared transactions hold, that first.
(SELECT 'lock', ROW(pid, mode, granted, locktype, page, tuple, transactionid, virtualtransaction,
    -- Names are known only for this database and for what all databases share; for the rest the oid stands.
    CASE WHEN database OPERATOR(pg_catalog.=) 0 OR database OPERATOR(pg_catalog.=) (
        SELECT oid FROM pg_catalog.pg_database WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
      THEN relation::pg_catalog.regclass::pg_catalog.text ELSE relation::pg_catalog.text END,
    pg_catalog.concat_ws('/', locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid,
      objsubid))::pg_catalog.text
  FROM l WHERE NOT granted OR locktype OPERATOR(pg_catalog.=) 'advisory' OR pid IS NULL
    OR pid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.unnest(blocked_by) FROM y)) AND locktype OPERATOR(pg_catalog.=) 'relation'
  ORDER BY granted, locktype OPERATOR(pg_catalog.<>) 'transactionid',
    relation OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT relation FROM l WHERE NOT granted)) DESC NULLS LAST, pid
  LIMIT 1000)
