-- The large tables (from $1 pages on) that are most read from end to end, at most $2 of them, with the counters by which
-- an index is found missing. Statistics come from functions that lock nothing. From 14 on.
select
    c.oid::int8 as oid, n.nspname as schemaname, c.relname,
    pg_stat_get_numscans(c.oid) as seq_scan,
    pg_stat_get_tuples_returned(c.oid) as seq_tup_read,
    c.relpages * current_setting('block_size')::bigint as size_bytes
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm')
    and c.relpersistence <> 't'
    and c.relpages >= $1
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and pg_stat_get_numscans(c.oid) > 0
order by seq_tup_read desc, c.oid
limit $2
