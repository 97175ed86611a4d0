-- Toban: which server this is, since when it runs, and on which side of replication. The cheapest sign of life.
-- PostgreSQL 14 and later.
select
    version() as version,
    current_setting('server_version') as release,
    current_setting('server_version_num')::int4 as version_num,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    pg_is_in_recovery() as standby,
    -- on a primary alone: a standby's is that of the server it follows
    case when not pg_is_in_recovery() then
        ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int4
    end as timeline
