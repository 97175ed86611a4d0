-- Each replication slot and the WAL it holds back. From 14 on.
select
    s.slot_name,
    s.slot_type,
    s.active,
    s.wal_status,
    s.safe_wal_size,
    pg_wal_lsn_diff(at.lsn, s.restart_lsn)::float8 as retained_bytes
from pg_replication_slots s
cross join (
    select case
        when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        else pg_current_wal_lsn()
    end as lsn
) at
