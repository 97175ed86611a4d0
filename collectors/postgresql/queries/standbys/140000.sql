-- Each standby as its primary sees it; a base backup in progress is none, nor is the stream of WAL that it takes along
-- under its own name. A cascading standby sends what it received or restored.
-- A role without pg_read_all_stats sees only that there are some. From 14 on.
select
    r.application_name,
    coalesce(host(r.client_addr), '') as client_addr,
    r.state,
    coalesce(r.sync_state, '') as sync_state,
    coalesce(s.slot_name, '') as slot_name,
    pg_wal_lsn_diff(at.lsn, r.write_lsn)::float8 as write_bytes,
    pg_wal_lsn_diff(at.lsn, r.flush_lsn)::float8 as flush_bytes,
    pg_wal_lsn_diff(at.lsn, r.replay_lsn)::float8 as replay_bytes,
    extract(epoch from r.write_lag)::float8 as write_seconds,
    extract(epoch from r.flush_lag)::float8 as flush_seconds,
    extract(epoch from r.replay_lag)::float8 as replay_seconds
from pg_stat_replication r
left join pg_replication_slots s on s.active_pid = r.pid
cross join (
    select case
        when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        else pg_current_wal_lsn()
    end as lsn
) at
where not exists (
    select from pg_stat_replication b
    where b.state = 'backup' and r.backend_start >= b.backend_start
        and (b.application_name, b.client_addr) is not distinct from (r.application_name, r.client_addr)
)
