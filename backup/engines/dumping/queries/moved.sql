-- Tables that were emptied, rewritten or dropped after the snapshot: the row in pg_class is the snapshot's, the
-- function answers for now. What TRUNCATE or ALTER TABLE leaves of them, the snapshot sees as empty.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
    AND c.relpersistence <> 't'
    AND c.relfilenode <> 0
    AND c.oid >= 16384
    AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid)
ORDER BY n.nspname, c.relname
