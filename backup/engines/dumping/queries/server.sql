-- What a manifest says of the server, and who we are in it. All of it is open to everybody.
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer AS version_number,
    pg_is_in_recovery() AS standby,
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn,
    current_user::text AS role,
    has_table_privilege('pg_authid', 'SELECT') AS sees_passwords
