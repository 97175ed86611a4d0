-- Toban: which server this is, since when it runs, and on which side of replication. The cheapest sign of life.
-- PostgreSQL 14 and later.
select
    version() as version,
    current_setting('server_version') as release,
    current_setting('server_version_num')::int4 as version_num,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    pg_is_in_recovery() as standby
