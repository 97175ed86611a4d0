-- Toban: who is connected and what they do, in one look at the sessions: totals, label sets, long-running sessions.
-- $1 label sets kept, $2 seconds from which a session counts as long-running, $3 of those shown. PostgreSQL 14 and later.
-- Toban's own sessions count against the limit and nowhere else. Of a session that the role may not see,
-- backend_type is null; what has a user and a database is then taken for a client.
with sessions as materialized (
    select
        pid, datid, datname, usename, application_name, backend_type, state, wait_event_type, wait_event, query_id,
        backend_type is null and usesysid is not null as hidden,
        coalesce(backend_type = 'client backend', usesysid is not null and datid is not null) as client,
        application_name = 'toban' as own,
        -- a vacuum's snapshot keeps nobody else's rows
        case when query !~* '^(autovacuum: )?vacuum' then age(backend_xmin) end as xmin_age,
        case when state = 'active' then extract(epoch from now() - query_start)::float8 end as query_seconds,
        extract(epoch from now() - xact_start)::float8 as transaction_seconds,
        case
            when state like 'idle in transaction%' then extract(epoch from now() - state_change)::float8
        end as idle_seconds
    from pg_stat_activity
),
clients as (select * from sessions where client and not own),
sets as (
    select
        coalesce(datname, '') as datname, coalesce(state, '') as state, coalesce(usename, '') as usename,
        coalesce(application_name, '') as application_name, coalesce(backend_type, '') as backend_type,
        coalesce(wait_event_type, '') as wait_event_type, coalesce(wait_event, '') as wait_event,
        count(*) as sessions,
        greatest(max(transaction_seconds), 0) as seconds
    from sessions
    where datid is not null
    group by 1, 2, 3, 4, 5, 6, 7
),
ranked as (
    select
        *,
        row_number() over (
            order by sessions desc, datname, state, usename, application_name, backend_type, wait_event
        ) as place
    from sets
),
long_running as (
    select *
    from clients
    where query_seconds >= $2::float8 or transaction_seconds >= $2::float8
    order by greatest(query_seconds, transaction_seconds) desc
    limit $3::int8
)
select
    (select count(*) from sessions where client) as used,
    (select count(*) from sessions where client and own) as own,
    (select count(*) from sessions where hidden) as hidden,
    current_setting('max_connections')::int8
        - current_setting('superuser_reserved_connections')::int8
        - coalesce(current_setting('reserved_connections', true)::int8, 0) as usable, -- new in 16
    count(*) as clients,
    count(*) filter (where state = 'active' and wait_event_type is distinct from 'Lock') as active,
    count(*) filter (where state = 'active' and wait_event_type = 'Lock') as waiting,
    count(*) filter (where state = 'idle') as idle,
    count(*) filter (where state like 'idle in transaction%') as idle_in_transaction,
    greatest(max(query_seconds), 0)::float8 as longest_query,
    greatest(max(transaction_seconds), 0)::float8 as longest_transaction,
    greatest(max(idle_seconds), 0)::float8 as longest_idle,
    greatest(
        (select max(xmin_age) from sessions where not own),
        (select max(age(p.transaction)) from pg_prepared_xacts as p),
        (select max(greatest(age(r.xmin), age(r.catalog_xmin))) from pg_replication_slots as r),
        0
    )::int8 as oldest_xmin,
    (
        select json_agg(json_build_array(
            datname, state, usename, application_name, backend_type, wait_event_type, wait_event, sessions, seconds
        ))
        from ranked
        where place <= $1::int8
    )::text as sets,
    (
        select json_build_array(count(*), coalesce(sum(sessions), 0), max(seconds))
        from ranked
        where place > $1::int8
    )::text as others,
    (
        select json_agg(json_build_object(
            'pid', pid,
            'datname', coalesce(datname, ''),
            'usename', coalesce(usename, ''),
            'application_name', coalesce(application_name, ''),
            'state', coalesce(state, ''),
            'queryid', coalesce(query_id::text, ''),
            'query_seconds', query_seconds,
            'transaction_seconds', transaction_seconds,
            'wait_event', coalesce(wait_event_type || ':' || wait_event, '')
        ))
        from long_running
    )::text as long_running
from clients
