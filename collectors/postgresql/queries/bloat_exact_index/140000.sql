-- How much of a btree index would not be there if it were built anew, with its pages filled to nine tenths: all of it is
-- read, under ACCESS SHARE. From 14 on.
select
    index_size::float8 as size_bytes,
    greatest(
        (empty_pages + deleted_pages + case when leaf_pages > 0 then leaf_pages * (1 - avg_leaf_density / 90) else 0 end)
            * current_setting('block_size')::int,
        0
    )::float8 as bloat_bytes
from @schema@.pgstatindex((quote_ident($1) || '.' || quote_ident($2))::regclass)
