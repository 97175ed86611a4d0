-- Who holds or waits for a lock that a dump has to wait for, the oldest first.
SELECT
    a.pid,
    a.usename::text AS role,
    a.application_name AS application,
    n.nspname AS schema,
    c.relname AS name,
    l.granted,
    extract(epoch FROM now() - a.xact_start)::float8 AS seconds
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation'
    AND l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND c.relkind IN ('r', 'p', 'S', 'm')
    AND n.nspname !~ '^pg_'
ORDER BY l.granted DESC, a.xact_start
LIMIT 1
