-- How much of a table is dead or free: all of it is read, through a ring of few buffers, under ACCESS SHARE. From 14 on.
select table_len::float8 as size_bytes, (dead_tuple_len + free_space)::float8 as bloat_bytes
from @schema@.pgstattuple((quote_ident($1) || '.' || quote_ident($2))::regclass)
