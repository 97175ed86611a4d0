-- Toban: locks by mode, and how many are waited for, for every database but templates. PostgreSQL 14 and later.
-- Who waits for a row waits for another's transaction, and who waits for a role or a database for a shared object: both
-- belong to no database, and the waiter's own is taken then. Every row tells of all who wait, wherever they are.
with locks as materialized (
    select pid, database, mode, granted, waitstart from pg_locks where pid is distinct from pg_backend_pid()
),
held as (
    select
        case
            when l.database <> 0 then l.database
            when not l.granted then (select a.datid from pg_stat_get_activity(l.pid) as a)
        end as datid,
        case when l.database <> 0 then lower(l.mode) end as mode,
        count(*) as locks,
        count(*) filter (where not l.granted) as waiting
    from locks as l
    group by 1, 2
)
select
    d.datname::text as datname, held.mode, coalesce(held.locks, 0) as locks, coalesce(held.waiting, 0) as waiting,
    everywhere.waiters, everywhere.longest
from pg_database as d
cross join (
    select
        count(*) as waiters,
        coalesce(greatest(extract(epoch from now() - min(waitstart)), 0), 0)::float8 as longest
    from locks
    where not granted
) as everywhere
left join held on held.datid = d.oid
where not d.datistemplate
order by 1, 2
