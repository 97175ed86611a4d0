-- Where the server stands and what it still has for our slot ($1), and how far our receiver has come with it.
select
    pg_is_in_recovery() as in_recovery,
    (select system_identifier::text from pg_control_system()) as system_identifier,
    (select setting::bigint from pg_settings where name = 'wal_segment_size') as segment_bytes,
    current_setting('server_version_num')::integer as version,
    place.lsn::text as written_to,
    case
        when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())
        else ('x' || left(pg_walfile_name(place.lsn), 8))::bit(32)::integer
    end as timeline,
    slot.restart_lsn::text as kept_from,
    slot.wal_status,
    slot.active,
    case  -- a receiver that is silent falls behind by its silence; the clocks may differ a little
        when sender.write_lsn >= place.lsn then 0
        when sender.write_lsn is not null then
            extract(epoch from coalesce(sender.write_lag, '0') + greatest(clock_timestamp() - sender.reply_time, '0'))
    end::float8 as behind_seconds
from
    (
        select
            case
                when pg_is_in_recovery() then coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                else pg_current_wal_flush_lsn()
            end as lsn
    ) as place
left join pg_replication_slots as slot on slot.slot_name = $1 and slot.slot_type = 'physical'
left join pg_stat_replication as sender on sender.pid = slot.active_pid
