-- Where pgstattuple is installed in this database, if it is, and which version. From 14 on.
select n.nspname as schema, e.extversion as version
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pgstattuple'
