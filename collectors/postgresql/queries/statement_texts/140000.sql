-- The texts of a few statements, cut by the server. It reads the whole file of texts for it: asked rarely. From 14 on.
select distinct on (queryid) queryid, left(query, $2) as text
from @schema@.pg_stat_statements(true)
where queryid = any($1::bigint[])
