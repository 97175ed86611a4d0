-- How large the largest btree indexes of this database ($1 of them) are, and how large they would be just built: by the
-- live rows of the table and the widths of the columns, as for tables. Equal keys are stored once with a list of rows
-- where the operator classes allow it. An index with expressions has statistics under its own name. Not measured while
-- somebody holds or awaits ACCESS EXCLUSIVE on it or its table. From 14 on.
with locked as materialized (
    select relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database in (0, (select oid from pg_database where datname = current_database()))
), chosen as materialized (
    select
        x.indexrelid as oid, x.indrelid, n.nspname as schemaname, t.relname, i.relname as indexrelname,
        x.indkey::int2[] as keys, x.indclass::oid[] as classes, x.indnatts,
        x.indpred is null as whole, x.indisunique, t.reltuples as table_rows, i.reltuples as index_rows,
        coalesce((
            select option_value::int from pg_options_to_table(i.reloptions) where option_name = 'fillfactor'
        ), 90) as fillfactor,
        not exists (
            select from pg_options_to_table(i.reloptions)
            where option_name = 'deduplicate_items' and not option_value::bool
        ) and x.indnkeyatts = x.indnatts and not x.indisunique as may_merge,
        exists (select from locked where relation in (x.indexrelid, x.indrelid))
            or exists (select from pg_inherits h join locked l on l.relation = h.inhparent where h.inhrelid = x.indrelid)
            as held,
        greatest(
            pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid),
            pg_stat_get_last_analyze_time(t.oid), pg_stat_get_last_autoanalyze_time(t.oid)
        ) is not null as counted
    from pg_index x
    join pg_class i on i.oid = x.indexrelid
    join pg_class t on t.oid = x.indrelid
    join pg_am m on m.oid = i.relam
    join pg_namespace n on n.oid = t.relnamespace
    where i.relkind = 'i'
        and m.amname = 'btree'
        and x.indisvalid
        and t.relkind in ('r', 'm')
        and t.relpersistence <> 't'
        and i.relpages > 1
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    order by i.relpages desc, i.oid
    limit $1
), rows as (
    select
        c.*,
        greatest((case
            when not c.whole then c.index_rows
            when c.counted then pg_stat_get_live_tuples(c.indrelid)
            else c.table_rows
        end), 0)::float8 as live,
        w.known, w.nulls, w.data, w.distinct_keys,
        c.may_merge and not exists (
            select
            from unnest(c.classes) k
            join pg_opclass o on o.oid = k
            where not exists (
                select from pg_amproc p
                where p.amprocfamily = o.opcfamily and p.amproclefttype = o.opcintype and p.amprocnum = 4
            )
        ) as merges
    from chosen c
    cross join lateral (
        select
            bool_and(s.avg_width is not null or a.attlen > 0) as known,
            bool_or(coalesce(s.null_frac, 0) > 0) as nulls,
            sum((1 - coalesce(s.null_frac, 0)) * coalesce(s.avg_width, a.attlen)) as data,
            case when bool_and(s.n_distinct is not null) then
                exp(least(sum(ln(greatest(
                    case when s.n_distinct < 0 then -s.n_distinct * c.table_rows else s.n_distinct end, 1
                ))), 100))
            end as distinct_keys
        from unnest(c.keys) with ordinality k (number, place)
        join pg_attribute a
            on a.attrelid = case when k.number = 0 then c.oid else c.indrelid end
            and a.attnum = case when k.number = 0 then k.place else k.number end
        left join lateral (
            select max(avg_width) as avg_width, max(null_frac) as null_frac, max(n_distinct)::float8 as n_distinct
            from pg_stats p
            where p.schemaname = c.schemaname
                and p.tablename = case when k.number = 0 then c.indexrelname else c.relname end
                and p.attname = a.attname
        ) s on true
    ) w
), merged as (
    select
        r.*,
        ceil((8 + case when nulls then 8 else 0 end + data) / 8.0) * 8 as entry,
        case
            when merges then least(greatest(live / greatest(coalesce(distinct_keys, live), 1), 1), 130) else 1
        end as together
    from rows r
), sized as (
    select
        m.*,
        current_setting('block_size')::float8 as block,
        -- bytes a row: a line pointer and an entry, shared by those of one key, each of which adds six bytes
        case when together < 2 then 4 + entry else (4 + entry + 6 * together) / together end as width,
        case when not held then pg_relation_size(oid) end as size_bytes
    from merged m
)
select
    schemaname, relname, indexrelname, held, size_bytes,
    case
        when table_rows < 0 then 'analyze'
        when not coalesce(known, false) then 'statistics'
    end as unknown,
    case
        when table_rows >= 0 and known then
            -- a page's header and its btree trailer are 40 bytes; the first page tells where the root is
            (1 + ceil(live * width / ((block - 40) * fillfactor / 100))) * block
    end as ideal_bytes
from sized
