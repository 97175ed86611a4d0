-- Toban: who waits for locks and who is in the way; asked only when somebody waits. $1 waiters, the longest first.
-- pg_blocking_pids knows the queue, but locks the whole lock table for a moment, so it is asked for those alone. It
-- calls every prepared transaction 0 and knows nothing of a standby's replay: there, who holds a conflicting lock on the
-- same thing is taken. A parallel worker counts as its leader. From 14 on (waitstart).
with locks as materialized (select * from pg_locks),
activity as materialized (
    select
        pid, datname, usename, application_name, backend_type, state, wait_event_type, wait_event, xact_start, query,
        backend_type is null and usesysid is not null as hidden,
        case when backend_type = 'parallel worker' then leader_pid end as leader
    from pg_stat_activity
),
waiting as materialized (
    select
        l.pid, coalesce(a.leader, l.pid) as session, l.locktype, l.mode, l.waitstart, l.database, l.relation,
        format(
            '%s %s %s %s %s %s %s %s %s %s', l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid,
            l.transactionid, l.classid, l.objid, l.objsubid
        ) as tag,
        case l.mode
            when 'AccessShareLock' then '{AccessExclusiveLock}'
            when 'RowShareLock' then '{ExclusiveLock,AccessExclusiveLock}'
            when 'RowExclusiveLock' then '{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'
            when 'ShareUpdateExclusiveLock'
                then '{ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'
            when 'ShareLock'
                then '{RowExclusiveLock,ShareUpdateExclusiveLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'
            when 'ShareRowExclusiveLock' then
                '{RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'
            when 'ExclusiveLock' then
                '{RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,'
                'AccessExclusiveLock}'
            else
                '{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,'
                'ExclusiveLock,AccessExclusiveLock}'
        end::text[] as conflicting
    from locks l
    left join activity a on a.pid = l.pid
    where not l.granted
    order by l.waitstart nulls last, l.pid
    limit $1::int8
),
blocked as materialized (select *, pg_blocking_pids(pid) as blockers from waiting),
held as (
    select
        l.pid, l.virtualtransaction, l.mode,
        format(
            '%s %s %s %s %s %s %s %s %s %s', l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid,
            l.transactionid, l.classid, l.objid, l.objsubid
        ) as tag
    from locks l
    where l.granted and (l.locktype, coalesce(l.relation, 0)) in (select locktype, coalesce(relation, 0) from waiting)
),
prepared as (
    -- its locks share a virtual transaction with the lock that it has on its own number
    select p.gid, p.owner, p.database, p.prepared, l.virtualtransaction
    from pg_prepared_xacts p
    join locks l on l.pid is null and l.locktype = 'transactionid' and l.granted and l.transactionid = p.transaction
),
edges as materialized (
    select b.session, whom.pid, '' as gid
    from blocked b
    cross join unnest(b.blockers) as whom (pid)
    where whom.pid not in (0, b.session)
    union
    select b.session, 0, p.gid
    from blocked b
    join held h on h.tag = b.tag and h.pid is null and h.mode = any(b.conflicting)
    join prepared p on p.virtualtransaction = h.virtualtransaction
    where 0 = any(b.blockers)
    union
    select b.session, h.pid, ''
    from blocked b
    join held h on h.tag = b.tag and h.pid <> b.session and h.mode = any(b.conflicting)
    where b.blockers = '{}'
),
chains as materialized (
    select session, array_agg(case when gid = '' then pid::text else 'prepared ' || gid end order by pid, gid) as blocked_by
    from edges
    group by session
),
waits as materialized (
    -- a row is waited for by its transaction; that this waiter is the first in line for the row tells which table it is in
    select distinct on (b.session)
        b.session, b.locktype, b.mode, b.waitstart,
        coalesce(b.relation, t.relation) as relation,
        case when b.relation is null then t.database else b.database end as database
    from blocked b
    left join locks t on t.pid = b.pid and t.locktype = 'tuple' and t.granted
    order by b.session, b.waitstart nulls last
),
parties as (
    select session as pid, '' as gid from edges
    union
    select pid, gid from edges
)
select
    s.pid,
    s.gid,
    coalesce(e.blocked_by, '{}') as blocked_by,
    coalesce(a.datname, p.database, '')::text as database,
    coalesce(a.usename, p.owner, '')::text as user,
    coalesce(nullif(a.application_name, ''), case when a.backend_type <> 'client backend' then a.backend_type end, '')
        as application,
    coalesce(a.state, case when p.gid is not null then 'prepared' end, '') as state,
    coalesce(a.wait_event_type || ':' || a.wait_event, '') as wait_event,
    case
        when w.session is not null then coalesce(greatest(extract(epoch from now() - w.waitstart), 0), 0)
    end::float8 as wait_seconds,
    case
        when coalesce(a.xact_start, p.prepared) is not null
            then greatest(extract(epoch from now() - coalesce(a.xact_start, p.prepared)), 0)
    end::float8 as transaction_seconds,
    coalesce(w.locktype, '') as lock_type,
    coalesce(w.mode, '') as lock_mode,
    case
        when w.relation is null then ''
        else coalesce(n.nspname || '.' || c.relname, w.relation::text)
    end as relation,
    -- its bytes: a session of a database in another encoding has its text in that one, which is no text here
    substr(textsend(case when a.hidden then '' else coalesce(a.query, '') end), 1, 4000) as query,
    coalesce(a.hidden, false) as hidden,
    (select count(*) from locks where not granted) as waiters,
    (
        select coalesce(greatest(extract(epoch from now() - min(waitstart)), 0), 0)::float8
        from locks
        where not granted
    ) as longest
from parties s
left join activity a on a.pid = s.pid and s.gid = ''
left join prepared p on p.gid = s.gid
left join chains e on e.session = s.pid and s.gid = ''
left join waits w on w.session = s.pid and s.gid = ''
left join pg_class c
    on c.oid = w.relation and w.database in (0, (select oid from pg_database where datname = current_database()))
left join pg_namespace n on n.oid = c.relnamespace
