-- What the use of indexes must be judged by: since when it is counted, which cluster this is, whether it is a standby, and
-- how many standbys it has, whose use it cannot see: those that stream, or have a slot to come back to. Logical
-- subscribers and programs that only fetch WAL read no index. From 14 on.
select
    s.system_identifier::text as system_identifier,
    pg_is_in_recovery() as in_recovery,
    extract(epoch from d.stats_reset)::float8 as reset_at,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    extract(epoch from now())::float8 as taken_at,
    greatest(
        (
            select count(*)
            from pg_stat_replication r
            left join pg_replication_slots l on l.active_pid = r.pid
            where l.slot_type is distinct from 'logical'
                and coalesce(r.application_name, '') not in ('pg_receivewal', 'pg_basebackup')
        ),
        (select count(*) from pg_replication_slots where slot_type = 'physical' and not temporary)
    ) as standbys
from pg_control_system() s
cross join pg_stat_database d
where d.datname = current_database()
