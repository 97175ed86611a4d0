-- The sequences of this database that are furthest on ($1 of them): how much of the values between their bounds is used.
-- The narrowest column that a sequence feeds, as its owner or by its default, is a bound as well. Those that cycle never
-- end. To read a sequence is to lock it (ROW EXCLUSIVE), so those are left out on which somebody holds or awaits a lock
-- that stands against it, and those that the role may not read. An unlogged one has no value on a standby. From 14 on.
with fed as materialized (
    select sequence, max(low) as low, min(high) as high
    from (
        select d.objid as sequence, t.low, t.high
        from pg_depend d
        join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        join (values ('int2'::regtype, -32768::int8, 32767::int8), ('int4'::regtype, -2147483648, 2147483647))
            t (type, low, high) on t.type = a.atttypid
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
            and d.refobjsubid > 0 and d.deptype in ('a', 'i')
        union all
        select d.refobjid, t.low, t.high
        from pg_depend d
        join pg_attrdef f on f.oid = d.objid
        join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
        join (values ('int2'::regtype, -32768::int8, 32767::int8), ('int4'::regtype, -2147483648, 2147483647))
            t (type, low, high) on t.type = a.atttypid
        where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass
    ) columns
    group by sequence
), locked as materialized (
    select relation
    from pg_locks
    where locktype = 'relation'
        and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        and database = (select oid from pg_database where datname = current_database())
), sequences as materialized (
    select
        s.seqrelid as oid, n.nspname as schemaname, c.relname as sequencename, s.seqincrement > 0 as rising,
        greatest(s.seqmin, f.low)::float8 as low, least(s.seqmax, f.high)::float8 as high,
        s.seqrelid in (select relation from locked) as held,
        has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') as readable
    from pg_sequence s
    join pg_class c on c.oid = s.seqrelid
    join pg_namespace n on n.oid = c.relnamespace
    left join fed f on f.sequence = s.seqrelid
    where not s.seqcycle
        and c.relpersistence <> 't'
        and not (c.relpersistence = 'u' and pg_is_in_recovery())
), read as (
    select *, case when readable and not held then pg_sequence_last_value(oid)::float8 end as value from sequences
)
select
    schemaname, sequencename,
    least(greatest(
        coalesce(case when rising then value - low else high - value end, 0) / nullif(high - low, 0), 0
    ), 1)::float8 as used_ratio,
    count(*) filter (where held) over () as locked,
    count(*) filter (where not readable) over () as hidden,
    readable and not held as measured
from read
order by measured desc, used_ratio desc nulls last, oid
limit $1
