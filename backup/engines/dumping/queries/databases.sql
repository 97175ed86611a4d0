-- The databases that can be dumped, with their sizes as far as we may know them. Templates never are.
SELECT
    datname AS name,
    has_database_privilege(oid, 'CONNECT') AS enterable,
    CASE
        WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
        THEN pg_database_size(oid)
    END AS size_bytes
FROM pg_database
WHERE datallowconn AND NOT datistemplate
ORDER BY datname
