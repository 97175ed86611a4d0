-- What the use of indexes must be judged by: whether and since when it is counted, which cluster this is, whether it is a
-- standby, and how many standbys it has, whose use it cannot see: those that have a slot to come back to, and those that
-- stream without one. Logical subscribers and programs that only fetch WAL read no index. From 14 on.
select
    s.system_identifier::text as system_identifier,
    pg_is_in_recovery() as in_recovery,
    extract(epoch from d.stats_reset)::float8 as reset_at,
    extract(epoch from pg_postmaster_start_time())::float8 as started_at,
    extract(epoch from now())::float8 as taken_at,
    current_setting('track_counts')::boolean as counting,
    (
        select count(*)
        from (
            select l.active_pid
            from pg_replication_slots l
            where l.slot_type = 'physical' and not l.temporary
            union all
            select r.pid
            from pg_stat_replication r
            where not exists (
                select from pg_replication_slots l
                where l.active_pid = r.pid and (l.slot_type = 'logical' or not l.temporary)
            )
        ) possible
        left join pg_stat_replication r on r.pid = possible.active_pid
        where coalesce(r.application_name, '') not in ('pg_receivewal', 'pg_basebackup')
    ) as standbys
from pg_control_system() s
cross join pg_stat_database d
where d.datname = current_database()
