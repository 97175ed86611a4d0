-- Foreign keys of large tables (from $1 pages on, partitions together) that no index begins with, at most $2 of them:
-- a DELETE or a changed key in the referenced table reads all of the referencing one for each row. An index that leaves
-- out nothing but NULL serves as well. `width` is what a row of the index would take, from the types. From 14 on.
with recursive parts as (
    select c.oid as root, c.oid as part from pg_class c where c.relkind in ('r', 'p') and not c.relispartition
    union all
    select p.root, h.inhrelid from parts p join pg_inherits h on h.inhparent = p.part
), large as (
    select p.root as oid, sum(greatest(c.relpages, 0)) as pages, sum(greatest(c.reltuples, 0))
        filter (where c.relkind = 'r') as live
    from parts p
    join pg_class c on c.oid = p.part
    group by p.root
    having sum(greatest(c.relpages, 0)) >= $1
)
select
    k.oid::int8 as oid, n.nspname as schemaname, t.relname, k.conname, r.relname as referenced, t.relkind = 'p' as partitioned,
    a.columns, (l.live * (12 + a.width) / 0.9)::float8 as cost_bytes,
    l.pages::bigint * current_setting('block_size')::bigint as size_bytes
from pg_constraint k
join large l on l.oid = k.conrelid
join pg_class t on t.oid = k.conrelid
join pg_class r on r.oid = k.confrelid
join pg_namespace n on n.oid = t.relnamespace
cross join lateral (
    select
        array_agg(a.attname::text order by p.place) as columns,
        sum(case when a.attlen > 0 then greatest(a.attlen, 8) else 24 end) as width
    from unnest(k.conkey) with ordinality p (number, place)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.number
) a
where k.contype = 'f'
    and k.conparentid = 0
    and t.relpersistence <> 't'
    and not exists (
        select
        from pg_index x
        join pg_class i on i.oid = x.indexrelid
        join pg_am m on m.oid = i.relam
        where x.indrelid = k.conrelid
            and x.indisvalid
            and (m.amname = 'btree' or (m.amname = 'hash' and cardinality(k.conkey) = 1))
            and (x.indpred is null or (
                x.indpred::text ~ '^[{]NULLTEST [^{]*[{]VAR [^{}]*[}] :nulltesttype 1 [^{}]*[}]$'
                and substring(x.indpred::text from ':varattno ([0-9]+)')::int2 = any (k.conkey)
            ))
            and (x.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey
    )
order by l.pages desc, k.oid
limit $2
