-- How large the largest tables of this database ($1 of them) are, and how large they would be just written: by the live
-- rows, the columns' widths and their share of NULL. Widths come from pg_stats as far as the role may see it, else from
-- types of fixed length; a table that was never analyzed, or with columns of unknown width, has no estimate. The
-- statistics' own count of live rows goes first, since it knows of deletes that no vacuum has seen yet; a standby or a
-- server after a reset has none, there it is the catalogue's. Not measured while somebody holds or awaits ACCESS
-- EXCLUSIVE. From 14 on.
with locked as materialized (
    select relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database in (0, (select oid from pg_database where datname = current_database()))
), chosen as materialized (
    select
        c.oid, n.nspname as schemaname, c.relname, c.reltuples, c.relnatts,
        coalesce((
            select option_value::int from pg_options_to_table(c.reloptions) where option_name = 'fillfactor'
        ), 100) as fillfactor,
        exists (select from locked where relation in (c.oid, c.reltoastrelid))
            or exists (select from pg_inherits h join locked l on l.relation = h.inhparent where h.inhrelid = c.oid)
            as held,
        greatest(
            pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid),
            pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)
        ) is not null as counted
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm')
        and c.relpersistence <> 't'
        and c.relpages > 0
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    order by c.relpages desc, c.oid
    limit $1
), rows as (
    select
        c.*,
        (case when c.counted then pg_stat_get_live_tuples(c.oid) else greatest(c.reltuples, 0) end)::float8 as live,
        w.known, w.data, w.nulls
    from chosen c
    cross join lateral (
        select
            bool_and(s.avg_width is not null or a.attlen > 0) as known,
            bool_or(coalesce(s.null_frac, 0) > 0) as nulls,
            sum((1 - coalesce(s.null_frac, 0)) * coalesce(s.avg_width, a.attlen)) as data
        from pg_attribute a
        left join lateral (
            select max(avg_width) as avg_width, max(null_frac) as null_frac
            from pg_stats p
            where p.schemaname = c.schemaname and p.tablename = c.relname and p.attname = a.attname
        ) s on true
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) w
), sized as (
    select
        r.*,
        current_setting('block_size')::float8 as block,
        -- a line pointer, the header and what it needs to know of NULLs, the data: the latter two in steps of eight bytes
        4 + ceil((23 + case when nulls then (relnatts + 7) / 8 else 0 end) / 8.0) * 8 + ceil(data / 8.0) * 8 as width,
        case when not held then pg_relation_size(oid) end as size_bytes
    from rows r
)
select
    schemaname, relname, held, size_bytes,
    case
        when reltuples < 0 then 'analyze'
        when not coalesce(known, false) then 'statistics'
    end as unknown,
    case
        when reltuples >= 0 and known then
            ceil(live / greatest(floor((block - 24) * fillfactor / 100 / width), 1)) * block
    end as ideal_bytes
from sized
