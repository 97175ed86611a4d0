-- How much of a btree index would not be there if it were built anew, with its pages as full as its fillfactor has them,
-- nine tenths by default: all of it is read, under ACCESS SHARE. From 14 on.
select
    s.index_size::float8 as size_bytes,
    greatest(
        (
            s.empty_pages + s.deleted_pages
            + case when s.leaf_pages > 0 then s.leaf_pages * (1 - s.avg_leaf_density / coalesce(o.fillfactor, 90)) else 0 end
        ) * current_setting('block_size')::int,
        0
    )::float8 as bloat_bytes
from (select (quote_ident($1) || '.' || quote_ident($2))::regclass as oid) as t
cross join lateral @schema@.pgstatindex(t.oid) as s
cross join lateral (
    select max(option_value::int) as fillfactor
    from pg_class c, pg_options_to_table(c.reloptions)
    where c.oid = t.oid and option_name = 'fillfactor'
) as o
