-- Toban: locks by mode, and how many are waited for, for every database but templates. PostgreSQL 14 and later.
-- Who waits for a row waits for another's transaction, which belongs to no database: the waiter's own is taken then.
with held as (
    select
        coalesce(l.database, case when not l.granted then (select a.datid from pg_stat_get_activity(l.pid) as a) end) as datid,
        case when l.database is not null then lower(l.mode) end as mode,
        count(*) as locks,
        count(*) filter (where not l.granted) as waiting
    from pg_locks as l
    where l.pid is distinct from pg_backend_pid()
    group by 1, 2
)
select d.datname::text as datname, held.mode, coalesce(held.locks, 0) as locks, coalesce(held.waiting, 0) as waiting
from pg_database as d
left join held on held.datid = d.oid
where not d.datistemplate
order by 1, 2
