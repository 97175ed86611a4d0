-- Every table whose rows a dump holds, each by itself: a partition is one, what is partitioned is none, and heirs count
-- for themselves. Not those of extensions, which are made by the extension. Asking for a size waits for whoever holds
-- the table: of those that are held the last known size must do.
WITH held AS (
    SELECT DISTINCT relation AS oid
    FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock'
), block AS (
    SELECT current_setting('block_size')::bigint AS bytes
), owned AS (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
)
SELECT
    c.oid::bigint AS oid,
    n.nspname AS schema,
    c.relname AS name,
    c.relpersistence = 'u' AS unlogged,
    CASE
        WHEN c.oid IN (SELECT oid FROM held) THEN c.relpages * block.bytes
        ELSE coalesce(pg_table_size(c.oid), 0)
    END AS size_bytes,
    c.reltuples::float8 AS rows_then,
    c.relpages AS pages_then,
    CASE
        WHEN c.oid IN (SELECT oid FROM held) THEN c.relpages
        ELSE coalesce(pg_relation_size(c.oid), 0) / block.bytes
    END AS pages
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN block
WHERE c.relkind = 'r'
    AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema'
    AND c.oid NOT IN (SELECT objid FROM owned)
ORDER BY n.nspname, c.relname
