-- How much of a table is dead or free beyond what its fillfactor leaves free: all of it is read, through a ring of few
-- buffers, under ACCESS SHARE. From 14 on.
select
    s.table_len::float8 as size_bytes,
    greatest(s.dead_tuple_len + s.free_space - s.table_len * (100 - coalesce(o.fillfactor, 100)) / 100.0, 0)::float8
        as bloat_bytes
from (select (quote_ident($1) || '.' || quote_ident($2))::regclass as oid) as t
cross join lateral @schema@.pgstattuple(t.oid) as s
cross join lateral (
    select max(option_value::int) as fillfactor
    from pg_class c, pg_options_to_table(c.reloptions)
    where c.oid = t.oid and option_name = 'fillfactor'
) as o
