-- Each subscription of the server: whether its worker runs and hears, and how often it failed. From 15 on.
select
    d.datname::text as datname,
    s.subname::text as subname,
    s.subenabled as enabled,
    w.applying > 0 as working,
    w.silence_seconds,
    e.apply_error_count as apply_errors,
    e.sync_error_count as sync_errors
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
