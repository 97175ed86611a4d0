-- Both sides of replication in one row; the counts say whether it is worth to ask further. From 14 on.
-- A role without pg_read_all_stats sees of the WAL receiver that it runs, and no more. A base backup in progress is no
-- standby, nor is the stream of WAL that it takes along under its own name. Subscriptions work on a primary alone, though
-- the standbys have them in their catalogue.
select
    r.standby,
    extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as replay_age_seconds,
    pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::float8 as replayed_bytes,
    pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::float8 as received_bytes,
    pg_wal_lsn_diff(w.latest_end_lsn, '0/0')::float8 as announced_bytes,
    case when r.standby then pg_get_wal_replay_pause_state() end as pause_state,
    w.pid is not null as receiving,
    w.status as receiver_status,
    extract(epoch from clock_timestamp() - w.last_msg_receipt_time)::float8 as message_age_seconds,
    extract(epoch from current_setting('wal_receiver_timeout')::interval)::float8 as silence_seconds,
    (
        select count(*)
        from pg_stat_replication s
        where not exists (
            select from pg_stat_replication b
            where b.state = 'backup' and s.backend_start >= b.backend_start
                and (b.application_name, b.client_addr) is not distinct from (s.application_name, s.client_addr)
        )
    ) as standbys,
    (select count(*) from pg_get_replication_slots()) as slots,
    (select count(*) from pg_subscription where not r.standby) as subscriptions,
    current_setting('synchronous_standby_names') as synchronous
from (select pg_is_in_recovery() as standby) r
left join pg_stat_wal_receiver w on true
