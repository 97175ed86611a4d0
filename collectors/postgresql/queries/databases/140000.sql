-- Toban: what every database has done since its statistics began, the shared objects (datid 0) included, and how near
-- it is to running out of transaction ids. PostgreSQL 14 and later.
select
    s.datid::int8 as datid,
    coalesce(s.datname, '')::text as datname,
    coalesce(d.datistemplate, false) as template,
    s.numbackends, s.xact_commit, s.xact_rollback, s.blks_read, s.blks_hit,
    s.tup_returned, s.tup_fetched, s.tup_inserted, s.tup_updated, s.tup_deleted,
    s.conflicts, s.temp_files, s.temp_bytes, s.deadlocks, s.blk_read_time, s.blk_write_time,
    s.checksum_failures,
    s.active_time / 1000 as active_seconds,
    s.sessions, s.sessions_abandoned, s.sessions_fatal, s.sessions_killed,
    extract(epoch from s.stats_reset)::float8 as counted_since,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    greatest(age(d.datfrozenxid), mxid_age(d.datminmxid)) / 2147483648.0::float8 as wraparound,
    mxid_age(d.datminmxid) / 2147483648.0::float8 as multixact_wraparound,
    greatest(
        age(d.datfrozenxid) / current_setting('autovacuum_freeze_max_age')::float8,
        mxid_age(d.datminmxid) / current_setting('autovacuum_multixact_freeze_max_age')::float8
    ) as freeze_age
from pg_stat_database as s
left join pg_database as d on d.oid = s.datid
