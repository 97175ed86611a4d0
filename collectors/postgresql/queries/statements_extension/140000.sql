-- Where pg_stat_statements lives in this database, in which version, and whether its library is loaded at all.
-- Asked first, so that a server without it logs no error of ours. Its settings have a type only when it is preloaded.
-- From 14 on (`toban setup postgresql` installs the extension).
select
    n.nspname as schema,
    e.extversion as version,
    exists (select from pg_settings where name = 'pg_stat_statements.max' and vartype = 'integer') as loaded
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
