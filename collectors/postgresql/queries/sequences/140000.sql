-- The next sequences of this database by oid, those after $1 and at most $2 of them: how much of the values between their
-- bounds is used. The narrowest column that a sequence feeds, as its owner or by its default, is a bound as well. Those
-- that cycle never end. To read a sequence is to lock it (ROW EXCLUSIVE) until the transaction ends, and the server has
-- room for some thousands of locks in all, for everybody: so they are read a few at a time. Those are left out on which
-- somebody holds or awaits a lock that stands against it, and those that the role may not read. An unlogged one has no
-- value on a standby. From 14 on.
with chosen as materialized (
    select
        s.seqrelid as oid, n.nspname as schemaname, c.relname as sequencename, s.seqincrement > 0 as rising,
        s.seqmin, s.seqmax, has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') as readable
    from pg_sequence s
    join pg_class c on c.oid = s.seqrelid
    join pg_namespace n on n.oid = c.relnamespace
    where s.seqrelid > $1
        and not s.seqcycle
        and c.relpersistence <> 't'
        and not (c.relpersistence = 'u' and pg_is_in_recovery())
    order by s.seqrelid
    limit $2
), narrow (type, low, high) as (
    values ('int2'::regtype, -32768::int8, 32767::int8), ('int4'::regtype, -2147483648, 2147483647)
), fed as materialized (
    select sequence, max(low) as low, min(high) as high
    from (
        select c.oid as sequence, t.low, t.high
        from chosen c
        join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid
        join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        join narrow t on t.type = a.atttypid
        where d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
        union all
        select c.oid, t.low, t.high
        from chosen c
        join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
        join pg_attrdef f on f.oid = d.objid
        join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
        join narrow t on t.type = a.atttypid
        where d.classid = 'pg_attrdef'::regclass
    ) columns
    group by sequence
), locked as materialized (
    select relation
    from pg_locks
    where locktype = 'relation'
        and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        and database = (select oid from pg_database where datname = current_database())
), bounded as materialized (
    select
        c.oid, c.schemaname, c.sequencename, c.rising, c.readable,
        greatest(c.seqmin, f.low)::float8 as low, least(c.seqmax, f.high)::float8 as high,
        c.oid in (select relation from locked) as held
    from chosen c
    left join fed f on f.sequence = c.oid
), read as (
    select *, case when readable and not held then pg_sequence_last_value(oid)::float8 end as value from bounded
)
select
    oid::int8 as oid, schemaname, sequencename, held, not readable as hidden,
    case
        when readable and not held then least(greatest(
            coalesce(case when rising then value - low else high - value end, 0) / nullif(high - low, 0), 0
        ), 1)
    end::float8 as used_ratio
from read
order by oid
