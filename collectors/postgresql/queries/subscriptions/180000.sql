-- Each subscription of the server: whether its worker runs and hears, how often it failed, and what it met there that
-- should not have been so. From 18 on.
select
    d.datname::text as datname,
    s.subname::text as subname,
    s.subenabled as enabled,
    w.applying > 0 as working,
    w.silence_seconds,
    e.apply_error_count as apply_errors,
    e.sync_error_count as sync_errors,
    e.confl_insert_exists as confl_insert_exists,
    e.confl_update_origin_differs as confl_update_origin_differs,
    e.confl_update_exists as confl_update_exists,
    e.confl_update_missing as confl_update_missing,
    e.confl_delete_origin_differs as confl_delete_origin_differs,
    e.confl_delete_missing as confl_delete_missing,
    e.confl_multiple_unique_conflicts as confl_multiple_unique_conflicts
from pg_subscription s
join pg_database d on d.oid = s.subdbid
cross join lateral (
    select
        count(pid) filter (where relid is null) as applying,
        case
            when max(last_msg_receipt_time) is not null
                then greatest(extract(epoch from now() - max(last_msg_receipt_time)), 0)
        end::float8 as silence_seconds
    from pg_stat_subscription
    where subid = s.oid and pid is not null
) w
left join pg_stat_subscription_stats e on e.subid = s.oid
order by 1, 2
