-- What decides whether a base backup can be made of this server, and how. PostgreSQL 13.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_number,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       pg_is_in_recovery() AS is_standby,
       current_setting('wal_level') AS wal_level,
       current_setting('max_wal_senders')::int AS most_senders,
       (SELECT count(*)::int FROM pg_stat_replication) AS senders,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size') AS segment_bytes,
       coalesce(current_setting('summarize_wal', true), '') = 'on' AS summarizes,
       current_setting('data_checksums') = 'on' AS has_page_checksums,
       current_setting('port')::int AS port,
       current_user::text AS role,
       coalesce((SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user), false) AS may_replicate
