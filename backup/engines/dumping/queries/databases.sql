-- The databases but for those that initdb makes as templates, with their sizes as far as we may know them, and why one
-- cannot be dumped. One whose DROP was broken off (its limit is then -2) is none any more, and can only be dropped.
SELECT
    datname AS name,
    has_database_privilege(oid, 'CONNECT') AS enterable,
    CASE WHEN datistemplate THEN 'is a template' WHEN NOT datallowconn THEN 'takes no connections' END AS closed,
    CASE
        WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
        THEN pg_database_size(oid)
    END AS size_bytes
FROM pg_database
WHERE datname NOT IN ('template0', 'template1') AND datconnlimit <> -2
ORDER BY datname
