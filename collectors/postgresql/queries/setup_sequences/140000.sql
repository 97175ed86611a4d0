-- Toban: the schemas of this database with sequences that the role $1 may not read, of those that the collector
-- `sequences` measures: the temporary are one session's own, and those that cycle never end. A role that is still to be
-- made may what PUBLIC may. PostgreSQL 14 and later.
select n.nspname::text as schemaname
from pg_sequence as s
join pg_class as c on c.oid = s.seqrelid
join pg_namespace as n on n.oid = c.relnamespace
left join pg_roles as r on r.rolname = $1
where not s.seqcycle and c.relpersistence <> 't'
    and not coalesce(
        has_sequence_privilege(r.oid, s.seqrelid, 'select, usage'),
        has_sequence_privilege('public', s.seqrelid, 'select, usage')
    )
group by n.nspname
order by n.nspname
