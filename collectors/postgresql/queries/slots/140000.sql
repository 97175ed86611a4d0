-- Each replication slot, the WAL it holds back and, of a logical one, what its consumer has not confirmed. From 14 on.
select
    s.slot_name,
    s.slot_type,
    s.active,
    s.wal_status,
    s.safe_wal_size,
    pg_wal_lsn_diff(at.lsn, s.restart_lsn)::float8 as retained_bytes,
    pg_wal_lsn_diff(at.lsn, s.confirmed_flush_lsn)::float8 as unconfirmed_bytes,
    t.total_bytes::float8 as decoded_bytes,
    t.spill_bytes::float8 as spilled_bytes
from pg_replication_slots s
left join pg_stat_replication_slots t on t.slot_name = s.slot_name
cross join (
    select case
        when pg_is_in_recovery() then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
        else pg_current_wal_lsn()
    end as lsn
) at
