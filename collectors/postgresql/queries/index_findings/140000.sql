-- The indexes of this database that are one too many or of no use, at most $1 of each kind, the largest first:
--   invalid    left behind by a build that failed, or still being built
--   duplicate  says the same as another one, which is in `other_oid`
--   redundant  the beginning of another one
--   unused     never read since the counters began, and nothing rests on it
-- Nothing rests on an index that is not unique, backs no constraint, is no replica identity and belongs to no index of a
-- partitioned table; the index of the partitioned table itself speaks for its parts. One that a foreign key would be
-- looked up by, or that its table is clustered by, is not called unused. Tables of extensions are left to these. Stored
-- expressions are compared
-- without the places in the text they were read from. Only the catalogue is read, and for the chosen their size, unless
-- somebody holds or awaits ACCESS EXCLUSIVE on them. From 14 on.
with recursive parts as (
    select i.oid as root, i.oid as part
    from pg_class i
    where i.relkind = 'I' and not i.relispartition
    union all
    select p.root, h.inhrelid
    from parts p
    join pg_inherits h on h.inhparent = p.part
), whole as materialized (
    select p.root, sum(pg_stat_get_numscans(p.part)) as scans, sum(greatest(c.relpages, 0)) as pages
    from parts p
    join pg_class c on c.oid = p.part
    group by p.root
), locked as materialized (
    select relation
    from pg_locks
    where locktype = 'relation'
        and mode = 'AccessExclusiveLock'
        and database in (0, (select oid from pg_database where datname = current_database()))
), entries as materialized (
    select
        x.indexrelid as oid, x.indrelid, n.nspname as schemaname, t.relname, i.relname as indexrelname,
        i.relkind = 'I' as partitioned, i.relispartition as attached, i.relam, a.amname = 'btree' as ordered, a.amname = 'hash' as hashed,
        x.indisunique as is_unique, x.indisvalid and x.indisready as valid, x.indisclustered as clustered,
        x.indnkeyatts as width, x.indnatts as columns,
        x.indkey::int2[] as keys, x.indclass::oid[] as classes, x.indcollation::oid[] as collations,
        x.indoption::int2[] as options,
        regexp_replace(x.indexprs::text, ':location -?[0-9]+', '', 'g') as expressions,
        regexp_replace(x.indpred::text, ':location -?[0-9]+', '', 'g') as predicate,
        coalesce(w.pages, greatest(i.relpages, 0))::bigint as pages,
        coalesce(w.scans, pg_stat_get_numscans(x.indexrelid))::bigint as scans,
        x.indisunique or x.indisprimary or x.indisexclusion or x.indisreplident or k.conindid is not null as needed
    from pg_index x
    join pg_class i on i.oid = x.indexrelid
    join pg_class t on t.oid = x.indrelid
    join pg_am a on a.oid = i.relam
    join pg_namespace n on n.oid = t.relnamespace
    left join whole w on w.root = x.indexrelid
    left join (select distinct conindid from pg_constraint where contype in ('p', 'u', 'x')) k
        on k.conindid = x.indexrelid
    where t.relkind in ('r', 'm', 'p')
        and t.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        and t.oid not in (
            select objid
            from pg_depend
            where refclassid = 'pg_extension'::regclass and classid = 'pg_class'::regclass and deptype = 'e'
        )
), lookups as materialized (
    select conrelid, conkey, cardinality(conkey) as width from pg_constraint where contype = 'f'
), twins as (
    select
        oid,
        first_value(oid) over (
            partition by
                indrelid, relam, width, keys, classes, collations, options, coalesce(expressions, ''), coalesce(predicate, '')
            order by needed or attached desc, clustered desc, scans desc, oid
        ) as other
    from entries
    where valid
), alike as materialized (
    -- Those that begin with the same column. The planner takes a handful of rows for what is left of a CTE and would
    -- compare each with each; a series whose end it cannot know makes it expect many, and hash them.
    select e.*
    from (
        select *, count(*) over (partition by indrelid, keys[0], coalesce(predicate, '')) as same
        from entries
        where ordered and valid and expressions is null
    ) e
    cross join generate_series(1, (select 1))
    where same > 1
), prefixes as (
    select distinct on (a.oid) a.oid, b.oid as other
    from alike a
    join alike b on b.indrelid = a.indrelid and b.keys[0] = a.keys[0]
    where b.oid <> a.oid and not a.needed and not a.attached and not a.clustered
        and a.predicate is not distinct from b.predicate
        and (a.width < b.width or (a.width = b.width and a.columns < b.columns))
        and a.keys[0:a.width - 1] = b.keys[0:a.width - 1]
        and a.classes[0:a.width - 1] = b.classes[0:a.width - 1]
        and a.collations[0:a.width - 1] = b.collations[0:a.width - 1]
        and a.options[0:a.width - 1] = b.options[0:a.width - 1]
        and a.keys <@ b.keys
    order by a.oid, b.needed or b.scans > 0 desc, b.width desc, b.columns desc, b.oid
), found as (
    select 'invalid' as kind, oid, null::oid as other from entries where not valid
    union all
    select 'duplicate', w.oid, w.other from twins w join entries e using (oid) where w.oid <> w.other and not e.attached
    union all
    select 'redundant', oid, other from prefixes
    union all
    select 'unused', e.oid, null
    from entries e
    where e.valid and e.scans = 0 and not e.needed and not e.attached and not e.clustered
        and not exists (
            select from lookups k
            where k.conrelid = e.indrelid
                and (e.ordered or (e.hashed and k.width = 1))
                and (e.predicate is null or (
                    e.predicate ~ '^[{]NULLTEST [^{]*[{]VAR [^{}]*[}] :nulltesttype 1 [^{}]*[}]$'
                    and substring(e.predicate from ':varattno ([0-9]+)')::int2 = any (k.conkey)
                ))
                and e.keys[0:k.width - 1] @> k.conkey
        )
), ranked as materialized (
    select
        f.kind, f.other, e.*,
        row_number() over largest as place,
        count(*) over (partition by f.kind) as counted,
        sum(e.pages) over (partition by f.kind) as counted_pages
    from found f
    join entries e using (oid)
    window largest as (partition by f.kind order by e.pages desc, e.oid)
), chosen as (
    select
        r.*,
        exists (select from locked where relation in (r.oid, r.indrelid))
            or exists (select from pg_inherits h join locked l on l.relation = h.inhparent where h.inhrelid = r.indrelid)
            as held
    from ranked r
    where place <= $1
)
select
    c.kind, c.oid::int8 as oid, c.schemaname, c.relname, c.indexrelname, c.partitioned, c.needed, c.is_unique, c.held,
    c.scans,
    case
        when c.partitioned then c.pages * current_setting('block_size')::bigint
        when not c.held then pg_relation_size(c.oid)
    end as size_bytes,
    o.oid::int8 as other_oid, coalesce(o.indexrelname, '') as other_name, coalesce(o.schemaname, '') as other_schema,
    coalesce(o.scans, 0) as other_scans,
    exists (
        select from pg_stat_progress_create_index b
        where b.datname = current_database() and coalesce(b.relid, c.indrelid) = c.indrelid
    ) as building,
    c.counted, (c.counted_pages * current_setting('block_size')::bigint)::bigint as counted_bytes
from chosen c
left join entries o on o.oid = c.other
order by c.kind, c.place
