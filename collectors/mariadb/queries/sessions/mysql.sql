-- The same from MySQL, which counts in whole seconds. Written from its documentation; not tested.
SELECT
    COALESCE(SUM(command IN ('Query', 'Execute')), 0) AS active,
    COALESCE(SUM(command = 'Sleep'), 0) AS idle,
    COALESCE(SUM(command LIKE 'Binlog Dump%%'), 0) AS replicas,
    COALESCE(SUM(state LIKE 'Waiting for %%lock'), 0) AS waiting,
    COALESCE(MAX(CASE WHEN command IN ('Query', 'Execute') THEN time END), 0) AS longest_seconds
FROM information_schema.processlist
WHERE id <> CONNECTION_ID()
