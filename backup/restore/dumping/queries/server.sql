-- The server that shall take a dump, and what we may do there. Where its files lie only some may know.
SELECT
    current_setting('server_version_num')::integer AS version_number,
    pg_is_in_recovery() AS standby,
    current_user::text AS role,
    r.rolsuper AS superuser,
    r.rolsuper OR r.rolcreatedb AS creates_databases,
    CASE
        WHEN r.rolsuper OR pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('data_directory')
    END AS data_directory
FROM pg_roles AS r
WHERE r.rolname = current_user
