-- What a connection pool in front of this server has to go by: its slots, those of them that are set aside, its
-- databases, and whether the role may read what a userlist is made of. One row.
SELECT
    current_setting('max_connections')::int AS max_connections,
    current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved_connections,
    has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS may_read_verifiers,
    CASE WHEN current_setting('is_superuser')::bool THEN 'toban' ELSE current_user::text END AS watcher,
    (
        SELECT coalesce(json_agg(datname::text ORDER BY datname), '[]')::text
        FROM pg_database
        WHERE datallowconn AND NOT datistemplate
    ) AS databases
