-- The largest indexes of this database ($1 of them) with their counters, and what the others come to. Sizes are as
-- vacuum, analyze or the build last saw them: nothing is opened and no lock is taken. From 14 on.
with entries as materialized (
    select x.indexrelid as oid, x.indrelid, i.relname as indexrelname, greatest(i.relpages, 0)::bigint as pages
    from pg_index x
    join pg_class i on i.oid = x.indexrelid
    join pg_class t on t.oid = x.indrelid
    where i.relkind = 'i'
        and t.relpersistence <> 't'
        and t.relkind in ('r', 'm')
        and t.relnamespace not in (select oid from pg_namespace where nspname in ('pg_catalog', 'information_schema'))
), chosen as materialized (
    select * from entries order by pages desc, oid limit $1
)
select
    c.oid::int8 as oid, n.nspname as schemaname, t.relname, c.indexrelname, null::bigint as others,
    pg_stat_get_numscans(c.oid) as scans,
    pg_stat_get_blocks_hit(c.oid) as blks_hit,
    pg_stat_get_blocks_fetched(c.oid) as blks_fetched,
    c.pages * current_setting('block_size')::bigint as size_bytes
from chosen c
join pg_class t on t.oid = c.indrelid
join pg_namespace n on n.oid = t.relnamespace
union all
select
    null, '', '', 'other', count(*), null, null, null,
    coalesce(sum(pages), 0)::bigint * current_setting('block_size')::bigint
from entries
where oid not in (select oid from chosen)
having count(*) > 0
