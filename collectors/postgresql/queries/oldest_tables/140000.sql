-- The tables whose oldest row has waited longest to be frozen ($1 of them): the age in transactions or multixacts as a
-- share of the age at which autovacuum freezes them whatever its settings, a table's own limit included. TOAST tables
-- count as their tables, temporary ones too: no vacuum but their session's freezes them. The catalogue alone is read.
-- From 14 on.
with ages as (
    select
        c.oid, c.relname, c.relnamespace, c.reloptions,
        greatest(age(c.relfrozenxid), coalesce(age(t.relfrozenxid), 0))::float8 as xids,
        greatest(mxid_age(c.relminmxid), coalesce(mxid_age(t.relminmxid), 0))::float8 as multixacts
    from pg_class c
    left join pg_class t on t.oid = c.reltoastrelid
    where c.relkind in ('r', 'm') and c.relfrozenxid <> '0'
), limits as (
    select
        current_setting('autovacuum_freeze_max_age')::float8 as xids,
        current_setting('autovacuum_multixact_freeze_max_age')::float8 as multixacts
), shares as (
    select
        a.oid, a.relname, a.relnamespace,
        case
            when a.reloptions is null then greatest(a.xids / l.xids, a.multixacts / l.multixacts)
            else (
                select greatest(
                    a.xids / least(l.xids, min(option_value::float8)
                        filter (where option_name = 'autovacuum_freeze_max_age')),
                    a.multixacts / least(l.multixacts, min(option_value::float8)
                        filter (where option_name = 'autovacuum_multixact_freeze_max_age'))
                )
                from (
                    select option_name, case when option_name like '%freeze_max_age' then option_value end as option_value
                    from pg_options_to_table(a.reloptions)
                ) o
            )
        end as freeze_age
    from ages a
    cross join limits l
)
select n.nspname as schemaname, s.relname, s.freeze_age
from shares s
join pg_namespace n on n.oid = s.relnamespace
order by s.freeze_age desc, s.oid
limit $1
